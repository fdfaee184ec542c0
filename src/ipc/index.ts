/**
 * `tapedeck/ring`: reads the ring of a server on this machine.
 *
 * `RingReader` has the lowest delay: call `poll` or `wait`, then read the fields of `record`.
 * `followRing` and `ringItems` are more convenient: they yield messages by async iteration. For other
 * languages, protocol/ring.md specifies the layout.
 */

export { RingReader } from './ring-reader';
export type { RingReaderOptions, RingSign, WriterState } from './ring-reader';
export { RingRecord } from './ring-record';
export type { RecordType } from './ring-record';
export { RingState } from './ring-state';
export type { RingInstrument } from './ring-state';
export { followRing, ringItems } from './ring-follow';
export type { FollowOptions, RingItem, RingLapped, RingMessage, RingOpened } from './ring-follow';
/** Default path of the ring of a server that runs as this user. */
export { defaultRingPath } from './ring-path';
export { KIND } from './ring-layout';
/** Why a ring cannot be opened: `code`, `message`, `hint`. */
export { StartFault as RingFault } from '../base/start-fault';
export { Nanos } from '../../protocol/time';
export { formatDecimal } from '../../protocol/units';
