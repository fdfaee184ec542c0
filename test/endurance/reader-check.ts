/**
 * Reader check: compares what a reader holds at the end with the journal, topic by topic: every message of the
 * journal is held once with its content, or declared; nothing else is held; books equal those of the journal. What
 * it held of a topic before a reset is compared with the journal of the server that sent its last message.
 */

import type { Checked } from './reader-checked';
import { checkBars, checkEndedBars } from './reader-bars';
import {
  bodyOf,
  firstAbove,
  rowsOf,
  type Journal,
  type Branches,
  type Truth,
} from './reader-truth';
import {
  covers,
  type Declared,
  type Held,
  type ReaderRecord,
  type TopicRecord,
} from './reader-record';

/** @param asked topics, with `*` @param upTo the reader has everything up to this seq */
export function checkReader(
  record: ReaderRecord,
  journal: Journal,
  asked: readonly string[],
  upTo: number,
  checks: Checked,
): void {
  for (const [topic, rows] of journal.topics) {
    if (!covers(asked, topic)) continue;
    const own = record.of(topic);
    if (own.from === null)
      checks.wrong(
        'missing',
        topic,
        rows[0]!.seq,
        0,
        'nothing of the topic, and no subscribed line',
      );
    else new TopicCheck(topic, rows, own, checks).run(upTo);
  }
  for (const [topic, { held }] of record.topics) {
    if (held.length > 0 && !journal.topics.has(topic))
      checks.wrong(
        'not-in-journal',
        topic,
        held[0]!.seq,
        held[0]!.line,
        'the journal has nothing of the topic',
      );
  }
  checkBars(record, journal, asked, checks);
  for (const { topic, seq } of journal.undeclared.slice(0, 20)) {
    checks.wrong('journal', topic, seq, 0, 'it was in the journal, is not now, and no gap says so');
  }
}

/** What was held until a reset, up to the last message of each topic: what followed may have made it invalid. */
export function checkEnded(record: ReaderRecord, branches: Branches, checks: Checked): void {
  for (const { topic, record: own } of record.ended) {
    if (own.states.size > 0) checkEndedBars(topic, own, branches, checks);
    const last = own.held.findLast(({ isState }) => !isState);
    const branch = last === undefined ? undefined : branches.byEpoch.get(last.epoch);
    if (last === undefined || branch === undefined || own.from === null) continue;
    // A crash with `async` loses what was pushed last; a later epoch has other messages there.
    const journaled = Math.floor(branch.newestId / 8);
    const held = own.held
      .slice(0, own.held.indexOf(last) + 1)
      .filter(({ seq }) => seq <= journaled);
    checks.figures.ended += 1;
    const rows = rowsOf(branch, topic);
    new TopicCheck(topic, rows, { held, gaps: own.gaps, from: own.from }, checks).compare();
  }
}

class TopicCheck {
  private readonly topic: string;
  private readonly rows: readonly Truth[];
  private readonly own: Pick<TopicRecord, 'held' | 'gaps' | 'from'>;
  private readonly checks: Checked;
  /** Seqs of states that the reader has: messages that they cover need not be sent again. */
  private readonly stateSeqs: ReadonlySet<number>;
  private next = 0;

  constructor(
    topic: string,
    rows: readonly Truth[],
    own: Pick<TopicRecord, 'held' | 'gaps' | 'from'>,
    checks: Checked,
  ) {
    this.topic = topic;
    this.rows = rows;
    this.own = own;
    this.checks = checks;
    this.stateSeqs = new Set(own.held.filter(({ isState }) => isState).map(({ seq }) => seq));
  }

  run(upTo: number): void {
    this.compare();
    const end = firstAbove(this.rows, upTo);
    for (const row of this.owed(this.next, end)) {
      this.wrong('missing', row.seq, this.own.held.at(-1)?.line ?? 0, `at the end: ${row.body}`);
    }
    for (const gap of this.own.gaps) this.gapCount(gap);
    this.checks.figures.rows += this.rows.length;
  }

  compare(): void {
    const { own, rows } = this;
    this.next = firstAbove(rows, own.from!);
    for (const held of own.held) {
      if (held.isState) this.state(held);
      else this.message(held);
    }
  }

  private message(held: Held): void {
    const at = this.atOrAbove(held.seq);
    const row = this.rows[at];
    if (row?.seq !== held.seq) {
      this.wrong('not-in-journal', held.seq, held.line, `held ${held.body}`);
      return;
    }
    this.checks.figures.compared += 1;
    const owed = this.owed(this.next, at);
    const skipped = Math.max(0, at - this.next);
    const isCounted = skipped === owed.length;
    if (owed.length > held.count - 1) {
      const [first] = owed;
      this.wrong(
        'missing',
        first!.seq,
        held.line,
        `${owed.length} before ${held.seq}, which stands for ${held.count}`,
      );
    } else if (isCounted && this.own.held[0] !== held && skipped !== held.count - 1) {
      this.wrong(
        'count',
        held.seq,
        held.line,
        `stands for ${held.count}; the journal has ${skipped + 1}`,
      );
    }
    this.content(held, row, isCounted ? this.rows[Math.max(0, at - held.count + 1)]! : row);
    this.next = Math.max(this.next, at + 1);
  }

  /** @param oldest the oldest message that it replaces */
  private content(held: Held, row: Truth, oldest: Truth): void {
    const { copy } = held;
    const isConflatedBook = copy !== undefined && (held.count > 1 || held.body !== row.body);
    if (held.body !== row.body && !(isConflatedBook && held.body.includes('"snapshot"'))) {
      this.wrong('content', held.seq, held.line, `held ${held.body}, the journal has ${row.body}`);
    }
    const isRepeated = held.prevSeq === held.seq; // a book that is sent again [B3]
    if (held.prevSeq !== oldest.prevSeq && oldest !== row && !isRepeated) {
      this.wrong(
        'content',
        held.seq,
        held.line,
        `prevSeq ${held.prevSeq}, the journal has ${oldest.prevSeq}`,
      );
    }
    if (copy !== undefined) this.copy(held, row.copy);
  }

  private copy(held: Held, truth: string | null | undefined): void {
    if (truth === undefined) return;
    this.checks.figures.books += 1;
    if (held.copy === truth) return;
    // A reader may hold what the journal can no longer prove, from a snapshot that it got.
    if (truth === null && this.rows[this.atOrAbove(held.seq)]?.row.side !== 2) return;
    this.wrong('copy', held.seq, held.line, `held ${String(held.copy)}, the journal has ${truth}`);
  }

  private state(held: Held): void {
    const at = this.atOrAbove(held.seq + 1) - 1;
    const row = this.rows[at];
    this.checks.figures.states += 1;
    if (row === undefined) {
      this.wrong('not-in-journal', held.seq, held.line, `a state ${held.body}`);
    } else if (held.copy !== undefined) {
      this.copy(held, row.copy);
    } else {
      const [shown, truth] = [bodyOf(held.message!, 'mark'), withoutMark(row)];
      if (shown !== truth)
        this.wrong('content', held.seq, held.line, `a state ${shown}, the journal has ${truth}`);
    }
  }

  /** Rows that must be held, from one seq to another. */
  private owed(from: number, to: number): Truth[] {
    const owed: Truth[] = [];
    for (let i = from; i < to; i++) {
      const row = this.rows[i]!;
      if (
        row.isGone ||
        this.stateSeqs.has(row.seq) ||
        this.own.gaps.some((g) => g.from <= row.seq && row.seq <= g.to)
      )
        continue;
      owed.push(row);
    }
    return owed;
  }

  private gapCount({ from, to, count, reason, line }: Declared): void {
    if (reason !== 'slow-reader' || from <= this.own.from!) return;
    const rows = this.atOrAbove(to + 1) - this.atOrAbove(from);
    if (rows !== count)
      this.wrong(
        'gap-count',
        from,
        line,
        `${from} to ${to} stands for ${count}; the journal has ${rows}`,
      );
  }

  private atOrAbove(seq: number): number {
    return firstAbove(this.rows, seq - 1);
  }

  private wrong(what: string, seq: number, line: number, detail: string): void {
    this.checks.wrong(what, this.topic, seq, line, detail);
  }
}

/** A state has the present mark, not the recorded one [S4]. */
function withoutMark({ body, topic }: Truth): string {
  if (!topic.startsWith('bbo:')) return body;
  const parts = JSON.parse(body) as unknown[];
  return JSON.stringify(parts.slice(0, -1));
}
