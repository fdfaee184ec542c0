/** Work: what the messages and connections of a client cost in its share of the event loop (shares.ts). */

/** In microseconds of one core, as measured by `bun run bench flood --processor`. */
export const WORK = {
  /** A connection, from its handshake to its end. */
  opened: 200,
  /** A key or token that is wrong. */
  unknown: 50,
  /** `read`: a message that is decoded, whatever follows; `message`: one that is handled. */
  read: 1,
  message: 1,
  /** Something that is not a message, with its answer. */
  fault: 8,
  /** A message over the rate limit, or a frame that is refused undecoded. */
  refused: 2,
  topic: 3,
  /** A resume or replay, and each record that it sends. */
  resume: 20,
  record: 1 / 64,
  /** An order, amendment or cancel with its consequences; and the notification of each further session. */
  order: 50,
  notified: 6,
  /** A ping or pong of WebSocket. */
  control: 1,
  /** A byte of a frame, and of a frame that is answered. */
  byte: 0.01,
  sentByte: 0.01,
} as const;

/** Cost of an order: all sessions of its key are notified of the outcome. */
export function orderWork(
  key: string | null | undefined,
  connections: { ofKey(name: string): number },
): number {
  return WORK.order + (key ? connections.ofKey(key) * WORK.notified : 0);
}
