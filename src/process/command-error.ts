/** A command cannot do what it was asked, for a reason that its user can mend. The message is all that is shown. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
}
