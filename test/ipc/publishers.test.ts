/** Publishers: one that fails is put out of service, told of, and holds up nobody. */

import { expect, test } from 'bun:test';

import { Publishers, type PublishedBatch, type Publisher } from '../../src/ipc/publishers';

const BATCH = (lastSeq: number): PublishedBatch => ({ lastSeq, events: [] });

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

  hydrate(_: unknown, lastSeq: number): void {
    this.note(`hydrate ${lastSeq}`);
  }
  accept({ lastSeq }: PublishedBatch): void {
    this.note(lastSeq);
  }
  beat(): void {
    this.note('beat');
  }
  close(): void {
    this.note('close');
  }
}

function publishersOf(...all: Noting[]): { publishers: Publishers; told: string[] } {
  const told: string[] = [];
  const publishers = new Publishers((name, error) => told.push(`${name}: ${String(error)}`));
  for (const publisher of all) publishers.add(publisher);
  return { publishers, told };
}

function run(publishers: Publishers): void {
  publishers.hydrate([], 0);
  for (const seq of [1, 2, 3]) publishers.accept(BATCH(seq));
  publishers.beat();
  publishers.close();
}

const WHOLE = ['hydrate 0', 1, 2, 3, 'beat', 'close'];

test.each(['hydrate 0', 2, 'beat'])('one that fails at %p', (failsAt) => {
  const [first, bad, last] = [new Noting('a'), new Noting('b', failsAt), new Noting('c')];
  const { publishers, told } = publishersOf(first, bad, last);
  run(publishers);
  expect([first.seen, last.seen]).toEqual([WHOLE, WHOLE]);
  // It is closed, so that its readers learn of it, and not called again.
  expect(bad.seen).toEqual([...WHOLE.slice(0, WHOLE.indexOf(failsAt)), 'close']);
  expect(told).toEqual([`b: Error: b cannot ${failsAt}`]);
  const batches = failsAt === 'hydrate 0' ? 0 : failsAt === 2 ? 2 : 3;
  const well = { batches: 3, failures: 0, records: null };
  const counts = new Map(publishers.counts());
  expect(counts.get('a')).toMatchObject(well);
  expect(counts.get('b')).toEqual({ batches, failures: 1, isActive: false, records: null });
});

test('two that fail in one batch, and one whose end fails as well', () => {
  const all = [new Noting('a', 1), new Noting('b', 1), new Noting('c'), new Noting('d', 'close')];
  const { publishers, told } = publishersOf(...all);
  run(publishers);
  expect(all[2]!.seen).toEqual(WHOLE);
  expect(told).toEqual([
    'a: Error: a cannot 1',
    'b: Error: b cannot 1',
    'd: Error: d cannot close',
    'd: Error: d cannot close',
  ]);
});

test('what a required one throws goes on to the caller, when the others had their turn', () => {
  const [lanes, ring] = [new Noting('lanes', 2, true), new Noting('ring')];
  const { publishers, told } = publishersOf(lanes, ring);
  publishers.accept(BATCH(1));
  expect(() => publishers.accept(BATCH(2))).toThrow('lanes cannot 2');
  expect([ring.seen, told]).toEqual([[1, 2], []]);
});
