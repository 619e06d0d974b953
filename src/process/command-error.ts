/** A command cannot do what it was asked, for a reason that its user can mend. The message is all that is shown. */
export class CommandError extends Error {
  override readonly name: string = 'CommandError';
}

/** It was asked in a way that cannot be understood: exit status 2. */
export class UsageError extends CommandError {
  override readonly name = 'UsageError';
}
