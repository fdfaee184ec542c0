/** Frames: decodes what a client sent into messages, in the subprotocol of its connection. */

import {
  decodeFrame,
  decodeFrameInParts,
  decodeTextFrame,
  decodeTextFrameInParts,
  FRAME_MESSAGES_MAX,
  SUBPROTOCOL_JSON,
  type Subprotocol,
} from '../../../protocol/codec';
import { fault, type Fault } from '../../../protocol/codes';
import type { Message } from '../../../protocol/messages';
import type { ScalesOf } from '../../../protocol/units';

/**
 * Number of faults of one frame that are read. A connection is closed before it reaches this number, whether
 * the faults count as errors or as messages over the rate. What is left unread behind them is never needed.
 */
const FRAME_FAULTS_MAX = 256;

/** A longer frame is decoded in parts. */
const SHORT_LENGTH = 4_096;

export function isShort({ length }: string | Uint8Array): boolean {
  return length <= SHORT_LENGTH;
}

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

/** Decodes a frame in parts. Each part takes a small fraction of a millisecond. A part may be empty. */
export function* readFrameInParts(
  data: string | Uint8Array,
  form: Subprotocol,
  scalesOf: ScalesOf,
): Generator<(Message | Fault)[], void> {
  const isText = typeof data === 'string';
  if (isText !== (form === SUBPROTOCOL_JSON)) yield readFrame(data, form, scalesOf);
  else if (isText)
    yield* decodeTextFrameInParts(data, scalesOf, FRAME_MESSAGES_MAX, FRAME_FAULTS_MAX);
  else yield* decodeFrameInParts(data, FRAME_MESSAGES_MAX, FRAME_FAULTS_MAX);
}
