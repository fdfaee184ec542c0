/** Work: what the messages and connections of a client count for in its share of the loop (shares.ts). */

/** In microseconds of one core, as `bun run bench flood --processor` measures it. */
export const WORK = {
  /** A connection, from its handshake to its end. */
  opened: 200,
  /** A key or token that is none. */
  unknown: 50,
  /** A message that is read, whatever comes of it; and done. */
  read: 1,
  message: 1,
  /** What was no message, with its answer. */
  fault: 8,
  /** A message, or a frame that was not read, that is refused since it comes too soon. */
  refused: 2,
  topic: 3,
  /** A resume or replay, and each record behind it. */
  resume: 20,
  record: 1 / 64,
  /** An order, amendment or cancel, with what becomes of it; and the same told to one session more. */
  order: 50,
  told: 6,
  /** A ping or pong of WebSocket. */
  control: 1,
  /** A byte of a frame, and of one that is answered. */
  byte: 0.01,
  sentByte: 0.01,
} as const;

/** An order, by whoever gives it: all sessions of its key are told what becomes of it. */
export function orderWork(
  key: string | null | undefined,
  connections: { ofKey(name: string): number },
): number {
  return WORK.order + (key ? connections.ofKey(key) * WORK.told : 0);
}
