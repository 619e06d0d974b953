/**
 * A credential that could not be had: a grant that was refused, a secret manager that did not answer.
 * The message holds no secret and nothing that a remote service wrote freely, so it may be logged and shown.
 */
export class CredentialError extends Error {
  override readonly name = 'CredentialError';
}
