/**
 * `tapedeck/ring`: reads the ring of a server on this machine.
 *
 * `RingReader` is the fast way: `poll` or `wait`, then the fields of `record`. `followRing` and
 * `ringItems` are the comfortable one: messages by async iteration. The layout, for other languages,
 * stands in protocol/ring.md.
 */

export { RingReader } from './ring-reader';
export type { RingReaderOptions, RingSign, WriterState } from './ring-reader';
export { RingRecord } from './ring-record';
export type { RecordType } from './ring-record';
export { RingState } from './ring-state';
export type { RingInstrument } from './ring-state';
export { followRing, ringItems } from './ring-follow';
export type { FollowOptions, RingItem, RingLapped, RingMessage, RingOpened } from './ring-follow';
/** Where a server of this user has its ring, unless its settings say otherwise. */
export { defaultRingPath } from './ring-path';
export { KIND } from './ring-layout';
/** Why a ring cannot be opened: `code`, `message`, `hint`. */
export { StartFault as RingFault } from '../base/start-fault';
export { Nanos } from '../../protocol/time';
export { formatDecimal } from '../../protocol/units';
