/** Tape lines that came in one piece, as the body of a request: all of them are good, or none is taken. */

import { within, type Fault } from '../../protocol/codes';
import { fromJson, parseJson, SOURCE_OPTIONAL } from '../../protocol/json';
import type { SourceEvent } from '../../protocol/messages';
import type { Scales, ScalesOf } from '../../protocol/units';
import { unknownMessageMember } from '../base/members';
import { isDerived } from './recording/tape';

export interface TapeLines {
  readonly events: SourceEvent[];
  /** Lines that hold nothing a source says: blank, or of a derived kind. */
  readonly skipped: number;
  /** A fault of the event at `index`, told as a fault of its line. */
  within(index: number, f: Fault): Fault;
}

/** The source events of NDJSON text, or the first fault, which names its line (counted from 1). */
export function readTapeLines(text: string, scalesOf: ScalesOf): TapeLines | Fault {
  const events: SourceEvent[] = [];
  const lines: number[] = [];
  const defined = new Map<string, Scales>();
  const scales: ScalesOf = (symbol) => defined.get(symbol) ?? scalesOf(symbol);
  let skipped = 0;
  let number = 0;
  const pieces = text.split('\n');
  // What ends a line does not begin another.
  if (pieces.at(-1) === '') pieces.pop();
  for (const line of pieces) {
    number += 1;
    const event = line.trim() === '' ? 'skipped' : readLine(line, scales);
    if (event === 'skipped') {
      skipped += 1;
    } else if ('code' in event) {
      return atLine(number, event);
    } else {
      if (event.type === 'instrument') defined.set(event.symbol, event);
      events.push(event);
      lines.push(number);
    }
  }
  return { events, skipped, within: (index, f) => atLine(lines[index] ?? 0, f) };
}

function readLine(line: string, scalesOf: ScalesOf): SourceEvent | 'skipped' | Fault {
  const parsed = parseJson(line);
  if (!('value' in parsed)) return parsed;
  if (isDerived(parsed.value)) return 'skipped';
  const unknown = unknownMessageMember(parsed.value);
  if (unknown !== undefined) return unknown;
  const event = fromJson(parsed.value, scalesOf, SOURCE_OPTIONAL) as SourceEvent | Fault;
  return 'code' in event ? ofEvent(event) : event;
}

/** `trade.price` becomes `price`: the line is named already, and has but one event. */
function ofEvent(f: Fault): Fault {
  const type = /^(instrument|trade|bbo|book|renumber)\./.exec(f.field ?? '')?.[0];
  if (type === undefined) return f;
  const cut = (text: string): string => (text.startsWith(type) ? text.slice(type.length) : text);
  return { ...f, field: cut(f.field!), message: cut(f.message) };
}

function atLine(line: number, f: Fault): Fault {
  return f.field === undefined
    ? { ...f, message: `line ${line}: ${f.message}`, field: `lines[${line}]` }
    : within(`lines[${line}]`, f);
}
