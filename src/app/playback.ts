/**
 * Playback: connects the replays that sessions request to the playback thread. A replay begins when
 * the journal has everything that was published before it.
 */

import { Nanos } from '../../protocol/time';
import type { PlaybackSource } from '../broadcast/playback/playback';
import type { History } from '../journal/history/history';
import { isCrash } from '../journal/history/gaps';

/** @param thread answers the questions `replay-…` @param flush of the journal */
export function playbackSource(thread: History, flush: () => Promise<void>): PlaybackSource {
  return {
    open: async (playback, request) => {
      await flush();
      const { from, to } = request;
      const opened = await thread.ask({
        kind: 'replay-open',
        replay: playback,
        ...request,
        from: words(from),
        to: words(to),
      });
      if ('code' in opened) return opened;
      const { fromSeq, toSeq, gaps } = opened;
      return { fromSeq, toSeq, isBroken: !gaps.every(isCrash) };
    },
    next: (playback) => thread.ask({ kind: 'replay-next', replay: playback }),
    close: (playback) => void thread.ask({ kind: 'replay-close', replay: playback }),
  };
}

/** Reads the journal of the shard that a request names. @param of its source */
export function playbackSources(of: (shard: string | null) => PlaybackSource): PlaybackSource {
  const opened = new Map<number, PlaybackSource>();
  return {
    open: (playback, request) => {
      const source = of(request.shard);
      opened.set(playback, source);
      return source.open(playback, request);
    },
    next: (playback) => opened.get(playback)!.next(playback),
    close: (playback) => {
      opened.get(playback)?.close(playback);
      opened.delete(playback);
    },
  };
}

function words(time: Nanos | null): { hi: number; lo: number } | null {
  return time === null ? null : { hi: time.hi, lo: time.lo };
}
