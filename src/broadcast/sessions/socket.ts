/** Socket: the part of a WebSocket that sessions use. Tests put their own in its place. */

export interface Socket {
  /** @returns 0 when the data was dropped because the socket's buffer is over its limit */
  send(data: string | Uint8Array): number;
  /** @param payload returned by the pong; the caller may reuse it after the call */
  ping(payload: Uint8Array<ArrayBuffer>): unknown;
  /** What is sent in the callback goes to the operating system at once. */
  cork(send: () => void): unknown;
  /** Bytes that the operating system has not taken yet. */
  getBufferedAmount(): number;
  subscribe(nativeTopic: string): void;
  unsubscribe(nativeTopic: string): void;
  close(code: number, reason: string): void;
  /** Closes without a close frame. */
  terminate(): void;
}
