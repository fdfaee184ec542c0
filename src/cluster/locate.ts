/**
 * Finds frames of the log by what is in them, in about 20 reads of one frame each. Epochs and sequence numbers of
 * events rise along the log, so a binary search finds where they pass a value.
 */

import { decodeLogFrame, endOf, type LogFrame } from '../../protocol/log-frame';
import { ok, unavailable, type Answer, type LogBroker } from './broker';
import type { LogPosition } from './frame-chain';

export interface FoundFrame {
  readonly sequence: number;
  readonly frame: LogFrame;
}

/** Where a reader at some position begins to read. */
export interface Located {
  readonly sequence: number;
  /** The position, or the one where the log's own end of that epoch lies before it. */
  readonly position: LogPosition;
}

/**
 * The first frame for which a condition holds; null: there is none.
 * @param holds for a frame, and then for all behind it
 */
export async function firstWhere(
  broker: LogBroker,
  first: number,
  last: number,
  holds: (frame: LogFrame) => boolean,
): Promise<Answer<FoundFrame | null>> {
  let [low, high] = [first, last];
  let found: FoundFrame | null = null;
  while (low <= high) {
    const middle = Math.floor((low + high) / 2);
    const probe = await frameFrom(broker, middle, high);
    if (probe.outcome !== 'ok') return probe;
    if (probe.value === null) high = middle - 1;
    else if (holds(probe.value.frame)) {
      found = probe.value;
      high = middle - 1;
    } else low = probe.value.sequence + 1;
  }
  // The replica that answered may lack a frame. The leader decides what lies at the border.
  for (let before = (found?.sequence ?? last + 1) - 1; before >= first; before--) {
    const answer = await leadersFrame(broker, before);
    if (answer.outcome !== 'ok') return answer;
    if (answer.value === null || !holds(answer.value.frame)) break;
    found = answer.value;
  }
  return ok(found);
}

/** The frame that holds an event, or the first part of it; null: the log does not hold it. */
export async function findEvent(
  broker: LogBroker,
  seq: number,
): Promise<Answer<FoundFrame | null>> {
  const info = await broker.info();
  if (info.outcome !== 'ok') return info;
  const { firstSequence, lastSequence } = info.value;
  const reaches = ({ lastSeq }: LogFrame): boolean => lastSeq >= seq;
  const found = await firstWhere(broker, firstSequence, lastSequence, reaches);
  if (found.outcome !== 'ok' || found.value === null) return found;
  return found.value.frame.firstSeq <= seq ? found : ok(null);
}

/** Where to begin for a reader that has everything up to a position. */
export async function locate(broker: LogBroker, position: LogPosition): Promise<Answer<Located>> {
  const info = await broker.info();
  if (info.outcome !== 'ok') return info;
  const { firstSequence: first, lastSequence: last } = info.value;
  const { epoch, seq } = position;
  if (first > last || (epoch === 0 && seq === 0)) return ok({ sequence: first, position });
  const reaches = (frame: LogFrame): boolean =>
    frame.epoch > epoch || (frame.epoch === epoch && endOf(frame) >= seq);
  const reached = await firstWhere(broker, first, last, reaches);
  if (reached.outcome !== 'ok') return reached;
  if (reached.value === null) return behindTheEnd(broker, reaches);
  const { sequence, frame } = reached.value;
  const isShorter = frame.kind === 'epoch' && frame.prevEpoch === epoch && frame.prevLastSeq < seq;
  return ok({ sequence, position: isShorter ? { epoch, seq: frame.prevLastSeq } : position });
}

/** No frame that was read reaches the position: the log is shorter, or the replicas that answered are behind. */
async function behindTheEnd(
  broker: LogBroker,
  reaches: (frame: LogFrame) => boolean,
): Promise<Answer<Located>> {
  const last = await broker.last();
  if (last.outcome !== 'ok') return last;
  const { sequence, frame: stored } = last.value;
  if (stored === null) return unavailable('the log was emptied just now');
  const frame = decodeLogFrame(stored.bytes);
  if ('code' in frame) return unavailable(`the last frame is damaged: ${frame.message}`);
  if (reaches(frame)) return unavailable('the replicas are behind');
  return ok({ sequence: sequence + 1, position: { epoch: frame.epoch, seq: endOf(frame) } });
}

/** The first frame from a sequence on, up to another, that can be read; null: there is none. */
async function frameFrom(
  broker: LogBroker,
  from: number,
  upTo: number,
): Promise<Answer<FoundFrame | null>> {
  for (let sequence = from; sequence <= upTo;) {
    const answer = await broker.read(sequence, 1, 1);
    if (answer.outcome !== 'ok') return answer;
    const stored = answer.value[0];
    if (stored === undefined) return unavailable('the replicas are behind');
    if (stored.sequence > upTo) return ok(null);
    const frame = decodeLogFrame(stored.bytes);
    if (!('code' in frame)) return ok({ sequence: stored.sequence, frame });
    const better = await leadersFrame(broker, stored.sequence);
    if (better.outcome !== 'ok' || better.value !== null) return better;
    sequence = stored.sequence + 1;
  }
  return ok(null);
}

/** The frame at a sequence, by the leader; null: it has none there, or a damaged one. */
async function leadersFrame(
  broker: LogBroker,
  sequence: number,
): Promise<Answer<FoundFrame | null>> {
  const answer = await broker.get(sequence);
  if (answer.outcome !== 'ok' || answer.value === null) return answer as Answer<null>;
  const frame = decodeLogFrame(answer.value.bytes);
  return ok('code' in frame ? null : { sequence, frame });
}
