/**
 * Past bars: queries of resumes for bars that are not in memory. Each resume has one query at a
 * time and clients take turns (`FairQueue`), so a crowd of one client does not keep the others
 * waiting. Bounded by the sessions.
 */

import type { Fault } from '../../../protocol/codes';
import type { BarsBehind, BarsBehindRequest } from '../../base/contracts/past';
import { FairQueue } from '../playback/fair-queue';

export type PastBarSource = (request: BarsBehindRequest) => Promise<BarsBehind | Fault>;

const UNDER_WAY_MAX = 4;

export class PastBarQueries {
  private readonly source: PastBarSource;
  private readonly queue = new FairQueue({
    playbacksMax: UNDER_WAY_MAX,
    playbacksPerClientMax: UNDER_WAY_MAX,
  });

  constructor(source: PastBarSource) {
    this.source = source;
  }

  /**
   * @param client that it is for
   * @param distance sequence numbers to read
   * @param makeRequest called when it may begin; null: it is not wanted any more
   */
  async ask(
    client: string,
    distance: number,
    makeRequest: () => BarsBehindRequest | null,
  ): Promise<BarsBehind | Fault | null> {
    await new Promise<void>((begin) => {
      this.queue.ask({ client, distance, begin, waits: () => {} });
    });
    try {
      const request = makeRequest();
      return request === null ? null : await this.source(request);
    } finally {
      this.queue.end(client);
    }
  }
}
