/** Frames: what a client sent, as messages, by the form of its connection. */

import {
  decodeFrame,
  decodeTextFrame,
  FRAME_MESSAGES_MAX,
  SUBPROTOCOL_JSON,
  type Subprotocol,
} from '../../protocol/codec';
import { fault, type Fault } from '../../protocol/codes';
import type { Message } from '../../protocol/messages';
import type { ScalesOf } from '../../protocol/units';

/**
 * Faults of one frame that are read: more than a connection outlives, whether they are counted as faults
 * or refused as too fast, so what is left unread behind them is nobody's any more.
 */
const FRAME_FAULTS_MAX = 256;

export function readFrame(
  data: string | Uint8Array,
  form: Subprotocol,
  scalesOf: ScalesOf,
): (Message | Fault)[] {
  if (form === SUBPROTOCOL_JSON) {
    return typeof data === 'string'
      ? decodeTextFrame(data, scalesOf, FRAME_MESSAGES_MAX, FRAME_FAULTS_MAX)
      : [fault('wrong-frame', 'a binary frame on the JSON subprotocol')];
  }
  return typeof data === 'string'
    ? [fault('wrong-frame', 'a text frame on the MessagePack subprotocol')]
    : decodeFrame(data, FRAME_MESSAGES_MAX, FRAME_FAULTS_MAX);
}
