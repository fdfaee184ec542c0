/**
 * Publisher set: a publisher that fails is taken out of service and reported; one that is slow catches up; neither
 * delays the others.
 */

import { expect, test } from 'bun:test';

import type { EventRun } from '../../src/base/contracts/batch';
import type {
  Publisher,
  PublisherStart,
  PublishedEvents,
} from '../../src/base/contracts/publisher';
import { PublisherSet } from '../../src/app/publisher-set';
import { trade } from '../support/market-events';

const BATCH = (lastSeq: number): EventRun => ({ lastSeq, events: [trade({ seq: lastSeq })] });
const START: PublisherStart = { epoch: 1, lastSeq: 0, newest: [], deleted: [], statistics: {} };

class Noting implements Publisher {
  readonly seen: (number | string)[] = [];
  readonly name: string;
  readonly isRequired: boolean;
  failsAt: number | string | undefined;

  constructor(name: string, failsAt?: number | string, isRequired = false) {
    this.name = name;
    this.failsAt = failsAt;
    this.isRequired = isRequired;
  }

  private note(what: number | string): void {
    if (what === this.failsAt) throw new Error(`${this.name} cannot ${what}`);
    this.seen.push(what);
  }

  open({ lastSeq }: PublisherStart): number | Promise<number> {
    this.note(`open ${lastSeq}`);
    return lastSeq;
  }
  accept({ lastSeq }: EventRun): 'taken' | 'full' {
    this.note(lastSeq);
    return 'taken';
  }
  behindBy() {
    return { events: 0, ms: 0 };
  }
  async catchUp(position: number, events: PublishedEvents): Promise<number> {
    const run = await events.read(position);
    if (run === undefined) throw new Error('not kept');
    this.note(`caught up ${run.lastSeq}`);
    return run.lastSeq;
  }
  beat(): void {
    this.note('beat');
  }
  close(): void {
    this.note('close');
  }
}

type Publishers = PublisherSet<EventRun>;

function publishersOf(...all: Noting[]): { publishers: Publishers; reports: string[] } {
  const reports: string[] = [];
  const publishers = new PublisherSet<EventRun>({
    failed: (name, error) => reports.push(`${name}: ${String(error)}`),
    read: (position, upTo) => (position < upTo ? BATCH(position + 1) : undefined),
  });
  for (const publisher of all) publishers.add(publisher, START);
  return { publishers, reports };
}

async function run(publishers: Publishers): Promise<void> {
  for (const seq of [1, 2, 3]) publishers.accept(BATCH(seq));
  publishers.beat();
  await publishers.close();
}

const WHOLE = ['open 0', 1, 2, 3, 'beat', 'close'];

test.each(['open 0', 2, 'beat'])('one that fails at %p', async (failsAt) => {
  const [first, bad, last] = [new Noting('a'), new Noting('b', failsAt), new Noting('c')];
  const { publishers, reports } = publishersOf(first, bad, last);
  await run(publishers);
  expect([first.seen, last.seen]).toEqual([WHOLE, WHOLE]);
  // It is closed, so that its readers notice, and not called again.
  expect(bad.seen).toEqual([...WHOLE.slice(0, WHOLE.indexOf(failsAt)), 'close']);
  expect(reports).toEqual([`b: Error: b cannot ${failsAt}`]);
  const batches = failsAt === 'open 0' ? 0 : failsAt === 2 ? 2 : 3;
  const well = { batches: 3, failures: 0, records: null };
  const counts = new Map(publishers.counts());
  expect(counts.get('a')).toMatchObject(well);
  expect(counts.get('b')).toEqual({
    batches,
    failures: 1,
    isActive: false,
    records: null,
    behind: { events: 0, ms: 0 },
  });
});

test('two that fail in one batch, and one whose close fails as well', async () => {
  const all = [new Noting('a', 1), new Noting('b', 1), new Noting('c'), new Noting('d', 'close')];
  const { publishers, reports } = publishersOf(...all);
  await run(publishers);
  expect(all[2]!.seen).toEqual(WHOLE);
  expect(reports).toEqual([
    'a: Error: a cannot 1',
    'b: Error: b cannot 1',
    'd: Error: d cannot close',
  ]);
});

test('an exception of a required publisher reaches the caller after the others were called', () => {
  const [lanes, ring] = [new Noting('lanes', 2, true), new Noting('ring')];
  const { publishers, reports } = publishersOf(lanes, ring);
  publishers.accept(BATCH(1));
  expect(() => publishers.accept(BATCH(2))).toThrow('lanes cannot 2');
  expect([ring.seen, reports]).toEqual([['open 0', 1, 2], []]);
});

/** Opens when the test allows it, and accepts no batch while it is full. */
class Slow extends Noting {
  isFull = false;
  readonly opened = Promise.withResolvers<number>();
  room = Promise.resolve();

  override open(): Promise<number> {
    return this.opened.promise;
  }
  override accept(batch: EventRun): 'taken' | 'full' {
    return this.isFull ? 'full' : super.accept(batch);
  }
  override async catchUp(position: number, events: PublishedEvents): Promise<number> {
    await this.room;
    return await super.catchUp(position, events);
  }
}

async function settled(isDone: () => boolean): Promise<void> {
  for (let i = 0; i < 1_000 && !isDone(); i++) await Promise.resolve();
  expect(isDone()).toBe(true);
}

test('one that opens slowly is given each event once and in order, while batches continue', async () => {
  const slow = new Slow('slow');
  const { publishers, reports } = publishersOf(slow);
  for (const seq of [1, 2]) publishers.accept(BATCH(seq));
  expect(publishers.counts()[0]![1]).toMatchObject({ isActive: false, behind: { events: 2 } });
  slow.opened.resolve(0);
  await settled(() => publishers.names.includes('slow'));
  publishers.accept(BATCH(3));
  expect(slow.seen).toEqual(['caught up 1', 'caught up 2', 3]);
  expect(reports).toEqual([]);
});

test('one that is full is given what it missed when it has room, and nothing twice', async () => {
  const slow = new Slow('slow');
  const { publishers } = publishersOf(slow);
  slow.opened.resolve(0);
  await settled(() => publishers.names.includes('slow'));
  publishers.accept(BATCH(1));
  const room = Promise.withResolvers<void>();
  slow.isFull = true;
  slow.room = room.promise;
  for (const seq of [2, 3, 4]) publishers.accept(BATCH(seq));
  expect(publishers.counts()[0]![1]).toMatchObject({ isActive: false, behind: { events: 3 } });
  slow.isFull = false;
  room.resolve();
  await settled(() => publishers.names.includes('slow'));
  publishers.accept(BATCH(5));
  expect(slow.seen).toEqual([1, 'caught up 2', 'caught up 3', 'caught up 4', 5]);
});

test('one that cannot open or catch up is taken out of service; the others continue', async () => {
  const [away, other] = [new Slow('away'), new Noting('other')];
  const { publishers, reports } = publishersOf(away, other);
  publishers.accept(BATCH(1));
  away.opened.reject(new Error('no broker'));
  await settled(() => reports.length > 0);
  publishers.accept(BATCH(2));
  expect(reports).toEqual(['away: Error: no broker']);
  expect([away.seen, other.seen]).toEqual([['close'], ['open 0', 1, 2]]);
});
