/** SDK: a client's side of Tapedeck, for browsers, Bun and Node. Exported as `tapedeck/client`. */

export { Connection, TapedeckError } from './connection';
export type { ConnectionEnd, ConnectionOptions } from './connection';
export { LocalBook } from './local-book';
export type { LocalBookOutcome } from './local-book';
export { fetchBook } from './rest';
export type { RestBook } from './rest';
export { Nanos, parseTime } from '../../protocol/time';
export { formatDecimal, parseDecimal } from '../../protocol/units';
export type { Bbo, Book, Instrument, Message, Status, Tick, Trade } from '../../protocol/messages';
