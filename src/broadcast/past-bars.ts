/**
 * Past bars: questions of resumes about bars that are not kept, a few at a time. Each resume has one under
 * way, and clients have their turns one after the other (`Turns`), so a crowd behind one address keeps no
 * other waiting. Bounded by the sessions.
 */

import type { BarInterval } from '../../protocol/bars';
import type { Fault } from '../../protocol/codes';
import type { Sum } from '../../protocol/sums';
import { Turns } from './turns';

/** A time as it comes from another thread. */
interface TimeWords {
  readonly hi: number;
  readonly lo: number;
}

/** A bar that was read: prices and quantities scaled; seq and times are those of its newest trade. */
export interface PastBar {
  /** At which it opens. */
  readonly second: number;
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly volume: Sum;
  readonly trades: number;
  readonly seq: number;
  readonly eventTime: TimeWords;
  readonly receiveTime: TimeWords;
}

/** What the journal says of one topic. */
export interface PastTopic {
  /** Opening seconds of the bars touched, with the trades that came to each. */
  readonly touched: readonly (readonly [second: number, trades: number])[];
  /** Bars that began behind the position and behind all of these before them, with the seq that began each. */
  readonly fronts: readonly (readonly [second: number, seq: number])[];
  /** Where the newest bar at the position opens; null: none. */
  readonly newest: number | null;
  readonly bars: readonly PastBar[];
}

/** What of bars is asked: which ones trades behind `lookFrom` touched, and their states. */
export interface PastRequest {
  readonly instruments: readonly {
    readonly symbol: string;
    readonly topics: readonly {
      readonly interval: BarInterval;
      /** Bars that open at this second or later are not wanted. */
      readonly below: number;
      /** Opening seconds of others that are wanted. */
      readonly also: readonly number[];
    }[];
  }[];
  /** Only trades behind this position are counted. */
  readonly after: number;
  /** At or below it. */
  readonly lookFrom: number;
  readonly upTo: number;
}

export interface PastAnswer {
  /** As asked; fewer instruments where it would be long. */
  readonly instruments: readonly (readonly (PastTopic | 'not-kept')[])[];
}

export type PastSource = (request: PastRequest) => Promise<PastAnswer | Fault>;

const UNDER_WAY_MAX = 4;

export class PastBarQuestions {
  private readonly source: PastSource;
  private readonly turns = new Turns({
    playbacksMax: UNDER_WAY_MAX,
    playbacksPerClientMax: UNDER_WAY_MAX,
  });

  constructor(source: PastSource) {
    this.source = source;
  }

  /**
   * @param client whom it is for @param distance how far it has to read, in seqs
   * @param makeRequest called when it is its turn; null: it is not wanted any more
   */
  async ask(
    client: string,
    distance: number,
    makeRequest: () => PastRequest | null,
  ): Promise<PastAnswer | Fault | null> {
    await new Promise<void>((begin) => {
      this.turns.ask({ client, distance, begin, waits: () => {} });
    });
    try {
      const request = makeRequest();
      return request === null ? null : await this.source(request);
    } finally {
      this.turns.end(client);
    }
  }
}
