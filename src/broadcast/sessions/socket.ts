/** Socket: a WebSocket as far as sessions use it, so that a test can put its own in its place. */

export interface Socket {
  /** @returns 0 when the data was dropped, since the backlog is past its limit */
  send(data: string | Uint8Array): number;
  /** @param payload which its pong brings back; it is the caller's again when this returns */
  ping(payload: Uint8Array<ArrayBuffer>): unknown;
  /** What is sent within goes to the system at once. */
  cork(send: () => void): unknown;
  /** Bytes that the system has not taken yet. */
  getBufferedAmount(): number;
  subscribe(nativeTopic: string): void;
  unsubscribe(nativeTopic: string): void;
  close(code: number, reason: string): void;
  /** Without a word: nobody is there to hear it. */
  terminate(): void;
}
