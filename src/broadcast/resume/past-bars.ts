/**
 * Past bars: questions of resumes about bars that are not kept, a few at a time. Each resume has one under
 * way, and clients have their turns one after the other (`Turns`), so a crowd behind one address keeps no
 * other waiting. Bounded by the sessions.
 */

import type { Fault } from '../../../protocol/codes';
import type { BarsBehind, BarsBehindRequest } from '../../base/contracts/past';
import { Turns } from '../playback/fair-queue';

export type PastSource = (request: BarsBehindRequest) => Promise<BarsBehind | Fault>;

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
    makeRequest: () => BarsBehindRequest | null,
  ): Promise<BarsBehind | Fault | null> {
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
