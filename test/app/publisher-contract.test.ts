/** The contract of Publisher, tested with each publisher of the server by what its readers get. */

import { afterAll, describe, expect, test } from 'bun:test';

import type { MarketEvent } from '../../protocol/messages';
import { topicsOf } from '../../src/app/publishers';
import { ManualClock } from '../../src/base/clock';
import type { Batch, EventRun } from '../../src/base/contracts/batch';
import type {
  Publisher,
  PublisherStart,
  PublishedEvents,
} from '../../src/base/contracts/publisher';
import { Broadcaster } from '../../src/broadcast/broadcaster';
import { Iceoryx2Publisher, loadIceoryx2 } from '../../src/ipc/iceoryx2';
import { RingPublisher } from '../../src/ipc/ring-publisher';
import { definition, must, openRing, RingDirectory, checkableTick } from '../ipc/made-ring';

interface Subject {
  readonly publisher: Publisher<Batch>;
  /** The newest sequence number that its readers can get, and how many events they were given after the start. */
  readonly reached: () => { readonly lastSeq: number; readonly events: number };
}

const rings = new RingDirectory();
afterAll(() => rings.remove());

function topics(): Subject {
  const options = { topicsMax: 8, sessionBoundary: 0 };
  const broadcaster = new Broadcaster(options, { publish: () => {} }, new ManualClock());
  let events = 0;
  const accept = broadcaster.accept.bind(broadcaster);
  broadcaster.accept = (batch) => {
    events += batch.events.length;
    accept(batch);
  };
  return {
    publisher: topicsOf(broadcaster, 0),
    reached: () => ({ lastSeq: broadcaster.numberings.at(0).lastSeq, events }),
  };
}

function ring(): Subject {
  const path = rings.fresh();
  const publisher = must(
    RingPublisher.open({ path, slots: 256, entries: 8 }, 1, new ManualClock()),
  );
  const reader = openRing(path);
  return {
    publisher,
    reached: () => ({ lastSeq: reader.lastSeq, events: publisher.records }),
  };
}

function iceoryx2(): Subject {
  const publisher = Iceoryx2Publisher.open({
    library: '',
    service: `tapedeck-test/${process.pid}/contract-${Math.floor(Bun.nanoseconds())}`,
    subscribersMax: 2,
    bufferRecords: 64,
    entries: 8,
  });
  if ('reason' in publisher) throw new Error(publisher.reason);
  // The foreign reader of test/ipc/iceoryx2.test.ts proves that what is written is received.
  return { publisher, reached: () => ({ lastSeq: publisher.records, events: publisher.records }) };
}

const FIRST = 1;
const NEWEST: readonly MarketEvent[] = [definition('ACME', FIRST)];
const START: PublisherStart = {
  epoch: 1,
  lastSeq: FIRST,
  newest: NEWEST,
  deleted: [],
  statistics: {},
};

function batch(firstSeq: number, lastSeq = firstSeq): Batch {
  const events = Array.from({ length: lastSeq - firstSeq + 1 }, (_, i) =>
    checkableTick('ACME', firstSeq + i),
  );
  return { epoch: 1, firstSeq, lastSeq, events, executions: [], arrivedMs: 0 };
}

/** All events up to a sequence number, at most three in a batch. */
function published(upTo: number): PublishedEvents {
  return {
    read: (position): EventRun | undefined =>
      position >= upTo ? undefined : batch(position + 1, Math.min(upTo, position + 3)),
  };
}

const isBuilt = !('reason' in loadIceoryx2(''));
const SUBJECTS = [
  ['topics', topics, true],
  ['ring', ring, true],
  ['iceoryx2', iceoryx2, isBuilt],
] as const;

for (const [name, make, isThere] of SUBJECTS) {
  describe.skipIf(!isThere)(`publisher ${name}`, () => {
    test('opens at the given state, then takes batches in order, and is not behind', async () => {
      const { publisher, reached } = make();
      expect(await publisher.open(START)).toBe(START.lastSeq);
      const before = reached().events;
      for (const [from, to] of [
        [2, 2],
        [3, 7],
        [8, 9],
      ] as const) {
        expect(publisher.accept(batch(from, to))).toBe('taken');
      }
      expect(reached().events - before).toBe(8);
      if (name !== 'iceoryx2') expect(reached().lastSeq).toBe(9);
      expect(publisher.behindBy()).toEqual({ events: 0, ms: 0 });
      publisher.beat();
      await publisher.close();
    });

    test('catches up from a position, and continues after it without a hole or a repetition', async () => {
      const { publisher, reached } = make();
      let position = await publisher.open(START);
      const before = reached().events;
      while (position < 12) {
        const next = await publisher.catchUp(position, published(12));
        expect(next).toBeGreaterThan(position);
        position = next;
      }
      expect(position).toBe(12);
      expect(publisher.accept(batch(13))).toBe('taken');
      expect(reached().events - before).toBe(12);
      if (name !== 'iceoryx2') expect(reached().lastSeq).toBe(13);
      await publisher.close();
    });

    test('cannot catch up where events are no longer kept, and says so', async () => {
      const { publisher } = make();
      await publisher.open(START);
      const gone: PublishedEvents = { read: () => undefined };
      const failed = await publisher.catchUp(START.lastSeq, gone).catch((e: unknown) => String(e));
      expect(failed).toContain('not kept');
      await publisher.close();
    });

    test('may be closed twice', async () => {
      const { publisher } = make();
      await publisher.open(START);
      await publisher.close();
      await publisher.close();
    });
  });
}
