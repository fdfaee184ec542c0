/** A broken invariant: the program's own fault, never the input's. It ends the process. */
export class InvariantError extends Error {}

/** @throws InvariantError when the condition does not hold */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}
