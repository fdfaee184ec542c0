/**
 * The generated parts of protocol/README.md: message, error and close tables, each message with its golden frame.
 * Run this file to write them again: `bun test/support/protocol-tables.ts`, then Prettier. A test compares the
 * README with them.
 */

import { channelDef, CHANNELS, topicForm } from '../../protocol/channels';
import { CLOSES, ERRORS } from '../../protocol/codes';
import type { Field, Fields } from '../../protocol/fields';
import type { MessageDef } from '../../protocol/define';
import { MESSAGES } from '../../protocol/messages';
import { readGoldenFrames, type GoldenFrame } from './golden';

const README = `${import.meta.dir}/../../protocol/README.md`;

const GROUPS: [title: string, from: number, to: number][] = [
  ['Client to server', 1, 31],
  ['Server to client: control', 32, 47],
  ['The market', 48, 127],
];

/** The generated parts by the name of their marker. */
export function generatedParts(): Record<string, string> {
  return {
    channels: channelTable(),
    messages: messageTables(),
    errors: errorTable(),
    closes: closeTable(),
  };
}

/** The README with each part between its markers replaced. @throws Error when a marker is missing */
export function withParts(readme: string, parts: Record<string, string>): string {
  let text = readme;
  for (const [name, part] of Object.entries(parts)) {
    const [start, end] = [`<!-- ${name}:begin -->`, `<!-- ${name}:end -->`];
    const [from, to] = [text.indexOf(start), text.indexOf(end)];
    if (from < 0 || to < from) throw new Error(`protocol/README.md has no markers of ${name}`);
    text = `${text.slice(0, from + start.length)}\n\n${part}\n\n${text.slice(to)}`;
  }
  return text;
}

function channelTable(): string {
  const yes = (is: boolean): string => (is ? 'yes' : 'no');
  const rows = CHANNELS.map((channel) => {
    const { nature, isNumbered, isFromSource, isReplayed } = channelDef(channel);
    const cells = [isNumbered, isFromSource, isReplayed].map(yes);
    return `| \`${topicForm(channel)}\` | ${nature} | ${cells.join(' | ')} |`;
  });
  return [
    '| topic | nature | numbered | sources send it | replayed |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n');
}

function messageTables(): string {
  const golden = new Map(readGoldenFrames().map((frame) => [frame.name, frame]));
  const defs: MessageDef[] = Object.values(MESSAGES);
  return GROUPS.map(([title, from, to]) => {
    const inGroup = defs.filter((d) => d.code >= from && d.code <= to);
    return [`### ${title}`, ...inGroup.map((d) => messageTable(d, golden.get(d.type)))].join(
      '\n\n',
    );
  }).join('\n\n');
}

function messageTable(def: MessageDef, frame: GoldenFrame | undefined): string {
  const rows = Object.entries(def.fields).map(
    ([name, f], i) => `| ${i + 1} | \`${name}\` | ${typeOf(f)} | ${meaningOf(f)} |`,
  );
  const lines = [
    `#### \`${def.type}\` · ${def.code}`,
    '',
    `${def.schema.description}.`,
    '',
    '| # | field | type | meaning |',
    '| --- | --- | --- | --- |',
    ...rows,
  ];
  if (frame !== undefined) {
    const json = frame.messages.map((m) => JSON.stringify(m)).join(',');
    lines.push('', '```text', `[${json}]`, (frame.hex.match(/.{1,64}/g) ?? []).join('\n'), '```');
  }
  return lines.join('\n');
}

function typeOf(f: Field<unknown>): string {
  const spec = f.spec;
  switch (spec.type) {
    case 'int':
      return `int ${spec.min} … ${spec.max}`;
    case 'text':
      return `text ${spec.lengthMax}`;
    case 'enum':
      return `enum: ${spec.values.map((word, i) => `${i} \`${word}\``).join(', ')}`;
    case 'levels':
      return `levels ${spec.levelsMax}`;
    case 'list':
      return `list ${spec.lengthMax} of ${typeOf(spec.item)}`;
    case 'struct':
      return `struct (${structOf(spec.fields)})`;
    case 'messages':
      return `messages ${spec.lengthMax}: ${spec.kinds.map((kind) => `\`${kind}\``).join(', ')}`;
    case 'nullable':
      return `${typeOf(spec.inner)} or nil`;
    default:
      return spec.type;
  }
}

function structOf(fields: Fields): string {
  return Object.entries(fields)
    .map(([name, f]) => `\`${name}\` ${typeOf(f)}`)
    .join('; ');
}

function meaningOf(f: Field<unknown>): string {
  if (f.spec.type === 'nullable') return meaningOf(f.spec.inner);
  if (f.spec.type !== 'struct') return f.json.description ?? '';
  const members = Object.entries(f.spec.fields).map(([name, m]) => `\`${name}\`: ${meaningOf(m)}`);
  return `${f.json.description}. ${members.join('. ')}`;
}

function errorTable(): string {
  const rows = Object.entries(ERRORS).map(
    ([code, { status, hint }]) => `| \`${code}\` | ${status} | ${hint} |`,
  );
  return ['| code | HTTP status | what to do |', '| --- | --- | --- |', ...rows].join('\n');
}

function closeTable(): string {
  const rows = Object.entries(CLOSES).map(
    ([reason, { code, reconnect }]) => `| ${code} | \`${reason}\` | ${reconnect ? 'yes' : 'no'} |`,
  );
  return ['| code | reason | reconnect |', '| --- | --- | --- |', ...rows].join('\n');
}

if (import.meta.main) {
  await Bun.write(README, withParts(await Bun.file(README).text(), generatedParts()));
}
