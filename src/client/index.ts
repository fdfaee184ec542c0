/**
 * SDK: a client's side of Tapedeck, for browsers, Bun and Node from 22 on. Exported as
 * `tapedeck/client`.
 *
 *     const client = await TapedeckClient.connect('http://127.0.0.1:7070');
 *     for await (const item of client.subscribe(['trade:*', 'book:BTCUSDT'])) {
 *       if (item.type === 'trade') {
 *         const { priceScale } = client.instruments.get(item.symbol)!;
 *         console.log(item.symbol, formatDecimal(item.price, priceScale));
 *       } else if (item.type === 'gap' || item.type === 'reset') {
 *         console.log('missing:', item);
 *       }
 *     }
 *
 * Prices and quantities are integers, scaled by the instrument; volumes are a `Sum`, which is a bigint
 * beyond 2^53 - 1 and is written by `formatSum`; times are `Nanos`; names of waits end in `Ms` and are
 * milliseconds. Every failure is a `TapedeckError` with `code`, `message`, `hint`, `field`.
 * `TapedeckClient` reconnects by itself; `Connection` is one WebSocket and ends with it.
 */

export { TapedeckClient } from './client';
export type { ClientOptions, ClientState, ServerClock } from './client';
export type { BackoffOptions } from './backoff';
export { Connection } from './connection';
export type { ConnectionOptions } from './connection';
export type { Environment, SocketConstructor, SocketLike, Timers } from './environment';
export { TapedeckError } from './errors';
export type { ConnectionEnd } from './errors';
export type { BreakEvent, ClientEvents } from './events';
export type {
  GapItem,
  Item,
  LocalResetReason,
  MessageOfTopic,
  ResetItem,
  TopicMessage,
} from './items';
export { LocalBook } from './local-book';
export type { LocalBookOutcome } from './local-book';
export type { Amount, AmendRequest, OrderAnswer, OrderRequest, OrderTarget } from './order-entry';
export type { PublishOptions } from './publishing';
export type { Replay, ReplayOptions } from './replay';
export {
  fetchBars,
  fetchBook,
  fetchCluster,
  fetchEndedOrders,
  fetchOrders,
  fetchTrades,
} from './rest';
export type {
  RestBar,
  RestBars,
  RestBook,
  RestCluster,
  RestClusterMember,
  RestOrder,
  RestOrders,
  RestTrade,
  RestTrades,
} from './rest';
export type { SubscribeOptions, Subscription } from './subscription';
export { Nanos, parseTime } from '../../protocol/time';
export { formatDecimal, parseDecimal } from '../../protocol/units';
export { formatSum } from '../../protocol/sums';
export type { Sum } from '../../protocol/sums';
export type {
  Bar,
  Bbo,
  Book,
  Execution,
  Instrument,
  Mark,
  Message,
  SourceEvent,
  Stats,
  Status,
  Tick,
  Trade,
} from '../../protocol/messages';
