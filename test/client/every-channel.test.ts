/**
 * Every channel of the table, from a source to each reader: random messages that are published arrive live in both
 * forms, and are the same in a replay, a resume, an export, the wire form of a batch, and after `kill -9`.
 */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';

import fc from 'fast-check';

import { BatchEncoder, decodeBatch } from '../../protocol/batch';
import {
  channelDef,
  CHANNELS,
  EXPORTED_CHANNELS,
  isPlain,
  PLAIN_CHANNELS,
  REPLAYED_CHANNELS,
  SOURCE_CHANNELS,
  STATE_CHANNELS,
  type Channel,
  type SourceChannel,
} from '../../protocol/channels';
import { fromJson, toJson } from '../../protocol/json';
import {
  MESSAGES,
  type Message,
  type SourceEvent,
  type TopicMessage,
} from '../../protocol/messages';
import { plainFields, plainText, kindOf } from '../../protocol/plain';
import type { BatchEvent } from '../../protocol/records';
import { unitOf } from '../../protocol/time-unit';
import { Nanos } from '../../protocol/time';
import { StartFault } from '../../src/base/start-fault';
import { csvFormat, ndjsonFormat, type Format } from '../../src/cli/export-formats';
import { TapedeckClient } from '../../src/client/client';
import type { Item } from '../../src/client/items';
import { extract } from '../../src/journal/export/extract';
import { openReading } from '../../src/journal/recover/reading';
import { messageOf } from '../support/arbitraries';
import { instrument } from '../support/market-events';
import { FORMS, StreamClient, type Seen } from '../support/stream-client';
import {
  PUBLISH_KEY,
  Scratch,
  ServerProcess,
  spawnTapedeck,
  tapedeck,
} from '../support/tapedeck-process';
import { until } from '../support/until';

setDefaultTimeout(90_000);

const SYMBOL = 'ACME';
const DEFINITION = instrument(SYMBOL, { priceScale: 4, quantityScale: 6 });
/** Messages of each channel that sources send. */
const MESSAGES_EACH = 40;
/** Messages that are sent before readers have taken those before. */
const ROUND = 20;
const START = Nanos.fromSeconds(1_700_000_000, 0);
/** The trade that ends the run; its tick is the last message. */
const LAST_TRADE = 4_242;

const SEED = fc.readConfigureGlobal().seed!; // printed by the preload
const scratch = new Scratch();
let server: ServerProcess;
/** What a replay gives: the messages of each channel, as they were published. */
let truth: TopicMessage[];
let live: TopicMessage[][];
let epoch: number;

beforeAll(async () => {
  // Nothing is conflated here, however busy the machine is.
  server = await ServerProcess.start({ config: '[push]\nstaleMs = 29000\ntradeAgeMs = 3600000\n' });
  const publisher = await TapedeckClient.connect(server.url, { key: PUBLISH_KEY });
  await publisher.publish([DEFINITION]);
  const topics = REPLAYED_CHANNELS.map(topicOf);
  const readers = await Promise.all(
    (['msgpack', 'json'] as const).map(async (form) => {
      const client = await TapedeckClient.connect(server.url, { form });
      const subscription = client.subscribe(topics);
      const messages: TopicMessage[] = [];
      void (async () => {
        for await (const item of subscription) messages.push(asTopicMessage(item));
      })();
      await subscription.ready;
      return { client, messages };
    }),
  );
  const events = sourceEvents(SEED);
  for (let from = 0; from < events.length; from += ROUND) {
    const round = events.slice(from, from + ROUND);
    await publisher.publish([...round, endOf(from + ROUND)]);
    const isLast = (m: TopicMessage): boolean =>
      m.type === 'trade' && m.tradeId === LAST_TRADE + from + ROUND;
    for (const { messages } of readers) {
      await until(() => messages.some((m, i) => isLast(m) && messages[i + 1]?.type === 'tick'));
    }
  }
  live = readers.map(({ messages }) => messages);
  epoch = publisher.welcome!.epoch;
  publisher.close();
  for (const { client, messages } of readers) {
    await until(() => messages.some(isOfTheEnd));
    client.close();
  }
  truth = await replayed();
});
afterAll(async () => {
  await server.remove();
  scratch.remove();
});

/** The last message that the end of the source makes. */
function isOfTheEnd(m: TopicMessage): boolean {
  return m.type === 'status' && m.reason === 'source-disconnected';
}

function topicOf(channel: Channel): string {
  return channelDef(channel).topic === 'all' ? channel : `${channel}:${SYMBOL}`;
}

function asTopicMessage(item: Item): TopicMessage {
  if (item.type === 'gap' || item.type === 'reset') throw new Error(JSON.stringify(item));
  return item;
}

/** Random messages of every channel that sources send, mixed. */
function sourceEvents(seed: number): SourceEvent[] {
  const of = SOURCE_CHANNELS.map((channel) =>
    fc.sample(messageOf(channel), { seed, numRuns: MESSAGES_EACH }),
  );
  return Array.from({ length: MESSAGES_EACH }, (_, i) => of.map((messages) => messages[i]!))
    .flat()
    .map((message, i) => sendable(message as SourceEvent, i));
}

/** The message as a source may send it. */
function sendable(given: SourceEvent, index: number): SourceEvent {
  const common = { symbol: SYMBOL, seq: 0, prevSeq: 0, count: 1, receiveTime: Nanos.ZERO };
  const event = { ...given, ...common, eventTime: START.plus(index * 1_000_000) } as SourceEvent;
  if (event.type === 'book') return { ...event, ...someLevels(index), form: 'snapshot', crc: null };
  if (event.type === 'trade') return { ...event, timing: null };
  if (!isPlain(event.type)) return { ...event, mark: null } as SourceEvent;
  const values = event as unknown as Record<string, unknown>;
  for (const [name, field] of Object.entries(plainFields(event.type))) {
    const value = values[name];
    if (kindOf(field) !== 'nanos' || value === null) continue;
    if (unitOf(value as Nanos) !== 'nanoseconds') values[name] = START;
  }
  return event;
}

function someLevels(index: number): { bids: number[]; asks: number[] } {
  const levels = (from: number): number[] =>
    Array.from({ length: index % 13 }, (_, i) => [from + i, 1 + ((index * 7 + i) % 50)]).flat();
  return { bids: levels(1_000), asks: levels(2_000) };
}

function endOf(index: number): SourceEvent {
  return {
    type: 'trade',
    symbol: SYMBOL,
    seq: 0,
    prevSeq: 0,
    eventTime: START.plus(index * 1_000_000 + 1),
    receiveTime: Nanos.ZERO,
    price: 1,
    quantity: 1,
    aggressor: 'none',
    tradeId: LAST_TRADE + index,
    timing: null,
  };
}

async function replayed(): Promise<TopicMessage[]> {
  const client = await TapedeckClient.connect(server.url);
  const items: TopicMessage[] = [];
  for await (const item of client.replay({ topics: REPLAYED_CHANNELS.map(topicOf) })) {
    items.push(asTopicMessage(item));
  }
  client.close();
  return items;
}

const ofChannel = (messages: readonly TopicMessage[], channel: Channel): TopicMessage[] =>
  messages.filter(({ type }) => type === channel);
const json = (message: Message): Seen => toJson(message, () => DEFINITION) as Seen;

/** What a reader of one topic is given first. */
async function stateOf(topic: string): Promise<Item | undefined> {
  const client = await TapedeckClient.connect(server.url);
  const subscription = client.subscribe([topic]);
  await subscription.ready;
  const state = subscription.waiting > 0 ? (await subscription.next()).value : undefined;
  client.close();
  return state;
}

describe.each(SOURCE_CHANNELS)('what a source sends of %s', (channel: SourceChannel) => {
  test('is published once, in its order', () => {
    const count = ofChannel(truth, channel).length;
    expect(count).toBeGreaterThan(MESSAGES_EACH / 2);
    if (!isPlain(channel)) return;
    const given = sourceEvents(SEED).filter(({ type }) => type === channel);
    const texts = (list: readonly unknown[]): string[] =>
      (list as Parameters<typeof plainText>[0][]).map(plainText);
    expect(texts(ofChannel(truth, channel))).toEqual(texts(given));
  });
});

describe.each(REPLAYED_CHANNELS)('a message of %s', (channel) => {
  test('is the same live, in both forms, and in a replay', () => {
    const expected = ofChannel(truth, channel);
    expect(expected).not.toBeEmpty();
    for (const messages of live) expect(ofChannel(messages, channel)).toEqual(expected);
  });

  test('is restored from the wire form of a batch', () => {
    for (const event of ofChannel(truth, channel)) {
      const { seq } = event;
      const batch = {
        epoch,
        firstSeq: seq,
        lastSeq: seq,
        time: START,
        events: [event as BatchEvent],
        executions: [],
      };
      expect(decodeBatch(new BatchEncoder().encode(batch))).toEqual(batch);
    }
  });

  test.each(FORMS)('comes in a resume over %s', async (form) => {
    const client = await StreamClient.open(server.url, form);
    const expected = ofChannel(truth, channel);
    const behind = expected[Math.floor(expected.length / 3)]!.seq;
    client.send({
      type: 'resume',
      id: 77,
      epoch,
      seq: behind,
      topics: [topicOf(channel)],
      newest: null,
    });
    await client.answer(77, 0);
    const seen = client.seen.filter(({ type }) => type === channel);
    expect(seen).toEqual(expected.filter(({ seq }) => seq > behind).map(json));
    await client.close();
  });
});

describe.each(EXPORTED_CHANNELS)('an export of %s', (channel) => {
  /** What `tapedeck export` writes; the command itself runs below. */
  const exported = (makeFormat: (kind: typeof channel, symbol: string) => Format): string => {
    const reading = openReading(server.data);
    if (reading instanceof StartFault) throw new Error(reading.message);
    const instrument = reading.instruments.find(({ symbol }) => symbol === SYMBOL)!;
    const format = makeFormat(channel, SYMBOL);
    const events = [...extract(reading, { kind: channel, instrument, from: null, to: null })];
    reading.close();
    return `${format.header}${events
      .flat()
      .map((event) => format.text(event))
      .join('')}`;
  };

  test('has the messages as ndjson', () => {
    const lines = exported(ndjsonFormat).trimEnd().split('\n');
    const messages = lines.map((line) => fromJson(JSON.parse(line), () => DEFINITION));
    expect(messages[0]).toMatchObject({ type: 'instrument' });
    expect(messages.slice(1)).toEqual(ofChannel(truth, channel));
  });

  test('has a column for each field as csv, or a row for each level', () => {
    const [header, ...rows] = exported(csvFormat).trimEnd().split('\r\n');
    if (channelDef(channel).nature === 'book') return expect(rows).not.toBeEmpty();
    const { names } = MESSAGES[channel];
    expect(header).toBe(names.join(','));
    const expected = ofChannel(truth, channel).map((message) => {
      const values = json(message);
      return names.map((name) => (values[name] ?? '') as string | number).join(',');
    });
    expect(rows.map((row) => row.replaceAll('"', ''))).toEqual(expected);
  });
});

describe.each(PLAIN_CHANNELS)('a channel without code of its own: %s', (channel) => {
  test('its export is a tape, which an import reads back', async () => {
    const [tape, copy] = [scratch.fresh('.ndjson'), scratch.fresh()];
    const kinds = ['--kind', channel, '--symbol', SYMBOL];
    await tapedeck(['export', '--data', server.data, ...kinds, '--output', tape]);
    const { code, stderr } = await tapedeck(['import', tape, '--data', copy]);
    expect([code, stderr]).toEqual([0, expect.any(String)]);
    const { stdout } = await tapedeck(['export', '--data', copy, ...kinds]);
    const read = stdout.trimEnd().split('\n').slice(1);
    const texts = read.map((line) => plainTextOf(JSON.parse(line)));
    expect(texts).toEqual(ofChannel(truth, channel).map((m) => plainTextOf(json(m))));
  });

  function plainTextOf(value: unknown): string {
    return plainText(fromJson(value, () => DEFINITION) as Parameters<typeof plainText>[0]);
  }

  test('REST answers with the newest message, and with no-data before the first', async () => {
    const newest = json(ofChannel(truth, channel).at(-1)!);
    const at = { epoch, source: 'live', state: 'stale', mark: 'stale', ageMs: expect.any(Number) };
    expect(await server.json(`/v1/${channel}/${SYMBOL}`)).toEqual({ ...newest, ...at });
    const publisher = await TapedeckClient.connect(server.url, { key: PUBLISH_KEY });
    await publisher.publish([{ ...DEFINITION, symbol: 'SILENT' }]);
    publisher.close();
    const refused = await server.get(`/v1/${channel}/SILENT`);
    expect(refused.status).toBe(404);
    expect(await refused.json()).toMatchObject({ error: { code: 'no-data' } });
  });

  test('"tail" prints the newest message', async () => {
    const child = spawnTapedeck(['tail', '--json', topicOf(channel), '--url', server.url]);
    let text = '';
    for await (const part of child.stdout) {
      text += new TextDecoder().decode(part);
      if (text.includes(`"type":"${channel}"`) && text.endsWith('\n')) break;
    }
    child.kill();
    const lines = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Seen);
    expect(lines.find(({ type }) => type === channel)).toEqual(
      json(ofChannel(truth, channel).at(-1)!),
    );
  });

  test.each([
    ['the server, at an interval', { intervalMs: 500 }],
    ['the SDK, if the consumer does not read', { queueMax: 6 }],
  ])('[S9] is conflated by %s: the newest, with the count of those before', async (_, options) => {
    const publisher = await TapedeckClient.connect(server.url, { key: PUBLISH_KEY });
    const symbol = `SLOW.${Object.keys(options)[0]!}`.slice(0, 16);
    await publisher.publish([{ ...DEFINITION, symbol }]);
    const reader = await TapedeckClient.connect(server.url);
    const subscription = reader.subscribe([`${channel}:${symbol}`], options);
    await subscription.ready;
    const sent = sourceEvents(1).filter(({ type }) => type === channel);
    for (const event of sent) await publisher.publish([{ ...event, symbol }]);
    if ('queueMax' in options) {
      // Its own state is that of a new subscription on the same connection.
      const newest = reader.subscribe([`${channel}:${symbol}`]);
      const last = textOf(sent.at(-1));
      await until(async () => textOf((await newest.next()).value) === last);
    }
    let [counted, taken, prevSeq] = [0, 0, 0];
    let newest: TopicMessage | undefined;
    while (counted < sent.length) {
      newest = asTopicMessage((await subscription.next()).value!);
      counted += (newest as { count: number }).count;
      expect(newest.prevSeq).toBe(prevSeq);
      prevSeq = newest.seq;
      taken += 1;
    }
    expect(counted).toBe(sent.length);
    expect(taken).toBeLessThan(sent.length);
    expect(textOf(newest)).toBe(textOf(sent.at(-1)));
    publisher.close();
    reader.close();
  });

  function textOf(message: unknown): string {
    return plainText(message as Parameters<typeof plainText>[0]);
  }
});

describe('after kill -9', () => {
  let states: Map<Channel, Item | undefined>;

  beforeAll(async () => {
    states = await statesOfAll();
    await server.stop('SIGKILL');
    const { data } = server;
    server = await ServerProcess.start({ data, keys: null });
  });

  async function statesOfAll(): Promise<typeof states> {
    const all = new Map<Channel, Item | undefined>();
    for (const channel of CHANNELS) {
      const form = topicOf(channel);
      const isBar = channelDef(channel).topic === 'interval';
      all.set(channel, await stateOf(isBar ? `${form}:1s` : form));
    }
    return all;
  }

  test('a new reader has the same state of every channel but marks and status', async () => {
    const after = await statesOfAll();
    for (const channel of CHANNELS) {
      if (channelDef(channel).topic === 'all') continue;
      const unmarked = (item: Item | undefined): unknown =>
        item !== undefined && 'mark' in item ? { ...item, mark: null } : item;
      expect([channel, unmarked(after.get(channel))]).toEqual([
        channel,
        unmarked(states.get(channel)),
      ]);
    }
    for (const channel of STATE_CHANNELS) {
      expect(after.get(channel)).toMatchObject({ seq: ofChannel(truth, channel).at(-1)!.seq });
    }
  });

  test('a replay has the same messages', async () => {
    const before = truth.filter(({ type, seq }) => type !== 'status' && seq > 0);
    const again = (await replayed()).filter(
      ({ symbol, type }) => symbol === SYMBOL && type !== 'status',
    );
    expect(again).toEqual(before);
  });

  test.each(REPLAYED_CHANNELS)(
    'a resume of the epoch before has what was missed of %s',
    async (channel) => {
      const expected = ofChannel(truth, channel);
      const behind = expected[Math.floor(expected.length / 2)]!.seq;
      const client = await StreamClient.open(server.url);
      client.send({
        type: 'resume',
        id: 78,
        epoch,
        seq: behind,
        topics: [topicOf(channel)],
        newest: null,
      });
      expect(await client.answer(78, 0)).toMatchObject({ type: 'ack' });
      const last = truth.at(-1)!.seq;
      const seen = client.seen.filter((m) => m.type === channel && (m['seq'] as number) <= last);
      expect(seen).toEqual(expected.filter(({ seq }) => seq > behind).map(json));
      await client.close();
    },
  );

  test('the journal is sound', async () => {
    const { code, stdout } = await tapedeck(['verify', '--data', server.data, '--replay']);
    expect([code, stdout]).toEqual([0, expect.stringContaining('stateHash')]);
  });
});
