/** What a leader gives the batch log, and when it may publish. */

import { expect, test } from 'bun:test';

import type { WireBatch } from '../../protocol/batch';
import type { BatchEvent } from '../../protocol/records';
import { Receipts } from '../../src/app/receipts';
import { LogFeed } from '../../src/app/log-feed';
import { SystemClock } from '../../src/base/clock';
import type { Member } from '../../src/cluster/member';
import { trade } from '../support/market-events';

/** Events with these numbers, both included. */
function events(from: number, to: number): BatchEvent[] {
  return Array.from({ length: to - from + 1 }, (_, i) => trade({ seq: from + i }) as BatchEvent);
}

test('what the log had before the journal is published as soon as the journal has it', () => {
  const logged: number[] = [];
  const member = {
    hasRoom: true,
    loggedFrom: 5,
    accept({ firstSeq, lastSeq }: WireBatch) {
      logged.push(firstSeq, lastSeq);
      member.loggedFrom = lastSeq;
      return 'taken';
    },
  };
  const feed = new LogFeed(
    {
      member: member as unknown as Member,
      clock: new SystemClock(),
      epoch: 1,
      lastSeq: () => 10,
      isReplicated: true,
      receipts: new Receipts(0),
      recent: (after) => [events(after + 1, 10)],
      committed: () => [],
      isFirst: () => true,
      onRoom: () => {},
    },
    5,
  );
  const published: number[] = [];
  const commit = (firstSeq: number, lastSeq: number): void => {
    const batch = {
      epoch: 1,
      firstSeq,
      lastSeq,
      events: events(firstSeq, lastSeq),
      executions: [],
    };
    feed.append({ ...batch, arrivedMs: 0 }, () => published.push(lastSeq));
  };
  feed.look();
  expect(logged).toEqual([6, 10]);
  commit(6, 7);
  expect(published).toEqual([]);
  feed.acknowledged(10);
  expect(published).toEqual([7]);
  commit(8, 10);
  expect(published).toEqual([7, 10]);
  commit(11, 11);
  expect([published, logged.at(-1)]).toEqual([[7, 10], 11]);
  feed.acknowledged(11);
  expect(published).toEqual([7, 10, 11]);
});
