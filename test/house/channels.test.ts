/** Channels are described only in protocol/channels.ts: nothing else lists them. */

import { expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { CHANNEL_TABLE, CHANNELS, type ChannelDef } from '../../protocol/channels';
import { MESSAGES } from '../../protocol/messages';
import { kindOf } from '../../protocol/plain';
import { KIND as RING_KIND } from '../../src/ipc/ring-layout';

const ROOT = resolve(import.meta.dir, '../..');
const TABLE = 'protocol/channels.ts';
const SOURCES = ['protocol', 'src'].flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true })
    .map((name) => join(folder, String(name)))
    .filter((name) => name.endsWith('.ts') && name !== TABLE),
);
/** This many names in a row are allowed; three make a list, a union, a chain of comparisons or a set of cases. */
const NAMES_MAX = 2;
/** Files in which such a list does not describe channels. */
const OTHERS: ReadonlyMap<string, string> = new Map([
  ['protocol/codec.ts', 'which messages have an encoder of their own'],
  ['protocol/hot.ts', 'the encoders of those'],
  ['src/gateway/rest/queries.ts', 'names of methods'],
]);

/** Runs of channel names with nothing but list or union punctuation, or comparisons, between them. */
function descriptions(source: string): string[] {
  const code = source.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/\/\/.*$/gm, '');
  const name = `['"](?:${CHANNELS.join('|')})['"]`;
  const joint = `(?:\\s*(?:[,|]|\\|\\||&&|\\b[\\w.]+\\s*[!=]==)\\s*)+`;
  const keyed = `\\s*:\\s*[^,{}]*,\\s*`;
  const cases = `\\s*:\\s*case\\s+`;
  const runs = [joint, keyed, cases].map(
    (between) => new RegExp(`${name}(?:${between}${name}){${NAMES_MAX},}`, 'g'),
  );
  return runs.flatMap((run) => code.match(run) ?? []);
}

test('no list of channels exists outside of the channel table', () => {
  const found = SOURCES.filter((file) => !OTHERS.has(file)).flatMap((file) =>
    descriptions(readFileSync(join(ROOT, file), 'utf8')).map((text) => `${file}: ${text}`),
  );
  expect(found).toEqual([]);
});

test('the check finds a list, a union, a chain of comparisons, a table and cases', () => {
  for (const text of [
    `const KINDS = ['tick', 'trade', 'bbo'];`,
    `type Kind = 'tick' | 'trade' | 'status';`,
    `if (m.type === 'tick' || m.type === 'bbo' || m.type === 'book') return;`,
    `const T = { 'tick': a('tick'), 'trade': b(1), 'bbo': 3 };`,
    `switch (t) { case 'tick': case 'trade': case 'book': return; }`,
  ]) {
    expect(descriptions(text)).not.toEqual([]);
  }
  expect(descriptions(`if (m.type === 'trade' || m.type === 'book') return;`)).toEqual([]);
});

/** Folders in which what happens to a message follows the table. */
const DERIVED = /^src\/(broadcast|client|gateway\/(?!page\/))/;
/** Files there that name a channel to decide, with what the decision is about: the content of its messages. */
const DECISIONS: ReadonlyMap<string, string> = new Map([
  ['src/broadcast/broadcaster.ts', 'bars and statistics are computed from trades'],
  ['src/broadcast/resume/bar-resume.ts', 'past bars are computed from trades'],
  ['src/broadcast/topics/topic-log.ts', 'approximate size of a message'],
  ['src/broadcast/topics/mirror.ts', 'the copy of a book, and of the newest statuses'],
  ['src/client/topic-chain.ts', 'levels of a book'],
  ['src/client/derived-states.ts', 'which of two bars is newer'],
]);

/** Comparisons with the name of a channel, or with the beginning of its topics. */
function decisions(source: string): string[] {
  const code = source.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/\/\/.*$/gm, '');
  const names = CHANNELS.join('|');
  const by = [
    `\\b(?:type|kind|channel)\\s*[!=]==\\s*'(?:${names})'`,
    `(?:startsWith\\(|[!=]==\\s*)'(?:${names}):`,
    `switch \\(\\w*\\.?(?:type|kind|channel)\\) \\{\\s*case '(?:${names})'`,
  ];
  return code.match(new RegExp(by.join('|'), 'g')) ?? [];
}

test('what happens to a message is decided by the table, not by the name of its channel', () => {
  const found = SOURCES.filter((file) => DERIVED.test(file)).filter(
    (file) => decisions(readFileSync(join(ROOT, file), 'utf8')).length > 0,
  );
  expect(found.toSorted()).toEqual([...DECISIONS.keys()].toSorted());
});

test('the check finds a comparison, the beginning of a topic and a case', () => {
  for (const text of [
    `if (newest.type === 'bar') return;`,
    `if (topic.channel !== 'trade') return;`,
    `if (topic.name.startsWith('bar:')) return;`,
    `switch (m.type) { case 'book': return; }`,
  ]) {
    expect(decisions(text)).not.toEqual([]);
  }
  expect(decisions(`if (def.nature === 'book') return;`)).toEqual([]);
});

test('every channel has a message, and the table is consistent', () => {
  const kinds = new Set<number>();
  const rings = new Set<number>();
  const ringKinds: Readonly<Record<string, number>> = RING_KIND;
  for (const channel of CHANNELS) {
    const def: ChannelDef = CHANNEL_TABLE[channel];
    const fields = MESSAGES[channel].fields;
    expect(Object.keys(fields).slice(0, 3)).toEqual(['symbol', 'seq', 'prevSeq']);
    // A message that can replace others has a count.
    expect('count' in fields).toBe(def.nature !== 'stream');
    expect(def.conflation === 'fresh' || def.conflation === 'all').toBe(def.nature === 'stream');
    // What the journal does not hold cannot be read from it.
    if (def.row === null) expect([def.isReplayed, def.isExported]).toEqual([false, false]);
    else {
      expect(def.isNumbered).toBe(true);
      expect(kinds.has(def.row.kind)).toBe(false);
      kinds.add(def.row.kind);
      expect(def.row.numbers.length).toBeLessThanOrEqual(5);
    }
    // A plain channel is state that a source sends; its fields are values alone.
    if (def.row?.body === 'fields') {
      expect(def).toMatchObject({ nature: 'state', topic: 'symbol', conflation: 'newest' });
      expect([def.isFromSource, def.ring]).toEqual([true, null]);
      expect(def.row.numbers).toEqual([]);
      expect(def.row.extras).toEqual(['as_of']);
      const composed = Object.values(fields).filter((f) => ['list', 'struct'].includes(kindOf(f)));
      expect(composed).toEqual([]);
    }
    if (def.ring === null) continue;
    expect(rings.has(def.ring)).toBe(false);
    rings.add(def.ring);
    // A record's kind in the ring is the code of the message.
    expect(def.ring).toBe(MESSAGES[channel].code);
    expect(ringKinds[channel]).toBe(def.ring);
  }
  expect(Object.keys(RING_KIND).length).toBe(rings.size + 1); // and definitions
});

test('the specification of the ring names each kind with its number', () => {
  const text = readFileSync(join(ROOT, 'protocol/ring.md'), 'utf8');
  const row = /^\|[^|]*\|[^|]*\| `kind` +\|([^|]*)\|$/m.exec(text)?.[1];
  const kinds = Object.entries(RING_KIND).map(([type, kind]) => `${kind} ${type}`);
  expect(row?.trim()).toBe(`code of the message: ${kinds.join(', ')}`);
});
