/** Ingest requests: a tape in the body of a request, on its way to the sequencer. */

import type { Fault } from '../../protocol/codes';
import type { SourceEvent } from '../../protocol/messages';
import type { SliceQueue } from '../base/slice-queue';
import { mayNot, mayNotPublish, type Principal } from '../gateway/auth/principal';
import { readTapeLines } from '../ingest/tape-lines';
import type { ServedMarket } from '../base/contracts/core';
import type { Limits } from './reload';
import type { Sources } from './sources';

/** Events whose symbols are checked in one slice. */
const EVENTS_AT_ONCE = 256;

/** @param slices where long bodies are read */
export function createIngest(
  { instruments }: ServedMarket,
  sources: Sources,
  limits: Pick<Limits, 'frameBytesMax'>,
  slices: SliceQueue,
) {
  return async (
    who: Principal,
    pieces: readonly Uint8Array[],
    continues: boolean,
  ): Promise<object | Fault> => {
    const scalesOf = (symbol: string) => instruments.get(symbol)?.definition;
    const lines = await slices.run(readTapeLines(pieces, scalesOf, limits.frameBytesMax));
    if ('code' in lines) return lines;
    const { events } = lines;
    const barred = await slices.run(barredOf(who, events));
    if (barred !== undefined) return lines.within(barred.index, barred.fault);
    const unable = mayNot(who, 'publish'); // the key may have ended while the body came
    if (unable !== undefined) return unable;
    const result = await sources.submitRequest(who.name, events, continues);
    if ('fault' in result) {
      const { index, fault } = result;
      return index < 0 ? fault : lines.within(index, fault); // below 0: no single line is at fault
    }
    const { seq, intake } = result;
    return { seq, events: events.length, skipped: lines.skipped, ...intake };
  };
}

function* barredOf(
  who: Principal,
  events: readonly SourceEvent[],
): Generator<undefined, ReturnType<typeof mayNotPublish>> {
  for (let from = 0; from < events.length; from += EVENTS_AT_ONCE) {
    const barred = mayNotPublish(who, events.slice(from, from + EVENTS_AT_ONCE));
    if (barred !== undefined) return { ...barred, index: from + barred.index };
    yield;
  }
  return undefined;
}
