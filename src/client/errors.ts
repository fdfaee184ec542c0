/** Errors of the SDK: every failure that an application meets is one `TapedeckError`. */

/** A request that the server refused, or a connection that failed. */
export class TapedeckError extends Error {
  override readonly name = 'TapedeckError';
  /**
   * A code of the protocol's table of errors, or of the SDK: `connection-failed` (no server, or the
   * connection ended before the answer), `closed` (the application closed the client).
   */
  readonly code: string;
  /** What to do about it, for people; null if unknown. */
  readonly hint: string | null;
  /** Path of the field at fault, such as `publish.events[3].price`. */
  readonly field: string | null;

  constructor(
    code: string,
    message: string,
    hint: string | null = null,
    field: string | null = null,
  ) {
    super(message);
    this.code = code;
    this.hint = hint;
    this.field = field;
  }
}

/** How a connection ended. */
export interface ConnectionEnd {
  readonly code: number;
  readonly reason: string;
  /** Whether to reconnect: as `closing` says, else by the close code [E6]. */
  readonly reconnect: boolean;
  /** How long the server asks to wait before that, in ms; 0 if it did not say. */
  readonly retryMs: number;
  /** A server that serves the same, as this one named it; null: it named none. */
  readonly url: string | null;
}

/** A failed attempt to connect, with the server's instruction for reconnecting. */
export class ConnectFailure extends TapedeckError {
  readonly end: ConnectionEnd;

  constructor(url: string, why: string, end: ConnectionEnd) {
    super('connection-failed', `no Tapedeck answers at ${url}: ${why}`);
    this.end = end;
  }
}
