/**
 * Runs an order table on the venue and on its oracle, which must agree step by step.
 *
 * `bun test/venue/run-table.ts FILE…` writes into tables what follows each command; check it against the rules
 * before you keep it.
 */

import { readFileSync, writeFileSync } from 'node:fs';

import { assert } from '../../src/base/assert';
import { applyCommand } from '../../src/market/venue/commands';
import { Venue } from '../../src/market/venue/venue';
import { NaiveVenue } from '../support/naive-venue';
import { naiveStateHash } from './naive-hash';
import { describeBook, describeEvent, parseOrderTable, type OrderTable } from './order-table';
import { Recorder } from './recorder';

/** @returns for each step what followed, in the words of a trader */
export function runOrderTable({ definition, owners, steps }: OrderTable): string[][] {
  const recorder = new Recorder();
  const venue = new Venue(definition, recorder);
  const naive = new NaiveVenue(definition);
  return steps.map(({ command, line }) => {
    if (command === null) return describeBook(naive, owners);
    const before = venue.stateHash();
    applyCommand(venue, command);
    naive.apply(command);
    const events = recorder.take();
    venue.check();
    const same = JSON.stringify(events) === JSON.stringify(naive.events);
    assert(same, `line ${line}: ${JSON.stringify([events, naive.events])}`);
    assert(venue.stateHash() === naiveStateHash(naive.canonical()), `line ${line}: hashes differ`);
    if (events[0]![0] === 'rejected') {
      assert(venue.stateHash() === before, `line ${line}: a rejection changed something`);
    }
    return events.map((event) => describeEvent(event, owners));
  });
}

function written(text: string): string {
  const outcomes = runOrderTable(parseOrderTable(text));
  const lines: string[] = [];
  let step = 0;
  for (const line of text.split('\n')) {
    if (line.startsWith('  ')) continue;
    lines.push(line);
    if (!line.startsWith('> ')) continue;
    for (const outcome of outcomes[step]!) lines.push(`  ${outcome}`);
    step += 1;
  }
  return lines.join('\n');
}

if (import.meta.main) {
  for (const path of Bun.argv.slice(2)) writeFileSync(path, written(readFileSync(path, 'utf8')));
}
