/** SDK: a client's side of Tapedeck, for browsers, Bun and Node. Exported as `tapedeck/client`. */

export { TapedeckClient } from './client';
export type { ClientOptions, ClientState } from './client';
export type { BackoffOptions } from './backoff';
export { Connection } from './connection';
export type { ConnectionOptions } from './connection';
export type { Environment, SocketConstructor, SocketLike, Timers } from './environment';
export { TapedeckError } from './errors';
export type { ConnectionEnd } from './errors';
export type { ClientEvents } from './events';
export type { GapItem, Item, MessageOfTopic, ResetItem, TopicMessage } from './items';
export { LocalBook } from './local-book';
export type { LocalBookOutcome } from './local-book';
export type { BreakEvent } from './market-reader';
export type { Amount, AmendRequest, OrderAnswer, OrderRequest, OrderTarget } from './order-entry';
export type { Replay, ReplayOptions } from './replay';
export { fetchBook } from './rest';
export type { RestBook } from './rest';
export type { SubscribeOptions, Subscription } from './subscription';
export { Nanos, parseTime } from '../../protocol/time';
export { formatDecimal, parseDecimal } from '../../protocol/units';
export type {
  Bar,
  Bbo,
  Book,
  Execution,
  Instrument,
  Message,
  SourceEvent,
  Stats,
  Status,
  Tick,
  Trade,
} from '../../protocol/messages';
