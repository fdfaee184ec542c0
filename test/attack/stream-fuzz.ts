/**
 * Stream fuzz: intruders on a real server, a few at a time, together with a source that never stops, readers that
 * must lose nothing, and restless readers that disconnect and resume by the rules. At the end the server must be as
 * if the intruders had never connected.
 */

import { instrument, tape, trade } from '../support/feed';
import type { Form } from './codec-fuzz';
import { Intruder, newTally, type Tally } from './intruder';
import { beRestless } from './restless';
import { opening, Source } from './source';
import { Target } from './target';
import { Watcher } from './watcher';
import { until } from '../support/until';

/** At once, of each form. */
const INTRUDERS = 8;
const FRAMES_PER_CONNECTION = 1_500;

export interface StreamFuzzResult extends Tally {
  readonly bystanders: {
    messages: number;
    proofs: number;
    gaps: number;
    restless: number;
    restlessGaps: number;
  };
  readonly memoryBytes: { readonly before: number; readonly after: number };
  readonly descriptors: { readonly before: number; readonly after: number };
  readonly seconds: number;
}

const CONFIG = `
[push]
heartbeatMs = 500
[limits]
playbacksMax = 8
[[instruments]]
symbol = "DESK"
priceScale = 2
quantityScale = 3
`;

/** Sends a number of frames in total, over both forms. Broken rules are in `complaints`. */
export async function fuzzStream(
  forms: readonly Form[],
  seed: number,
  frames: number,
  progress: (tally: Tally) => void = () => {},
): Promise<StreamFuzzResult> {
  const target = await Target.start({ config: CONFIG });
  try {
    return await fuzzTarget(target, forms, seed, frames, progress);
  } finally {
    await target.remove();
  }
}

async function fuzzTarget(
  target: Target,
  forms: readonly Form[],
  seed: number,
  frames: number,
  progress: (tally: Tally) => void,
): Promise<StreamFuzzResult> {
  await target.ingest(tape(instrument('ACME'), instrument('PREY'), opening()));
  const source = new Source(target, seed);
  const bystanders = [
    await Watcher.open(target.url, 'msgpack'),
    await Watcher.open(target.url, 'json', 'bystander in JSON'),
  ];
  for (const bystander of bystanders) {
    await bystander.subscribe([
      'trade:ACME',
      'book:ACME',
      'bbo:ACME',
      'tick:ACME',
      'bar:ACME:1s',
      'stats:ACME',
      'trade:DESK',
      'book:DESK',
      'status',
    ]);
  }
  const work = source.run();
  const tally = newTally();
  const before = { memoryBytes: target.memoryBytes, descriptors: target.descriptors };
  const startMs = performance.now();
  let connectionNumber = 0;
  const goOn = (): boolean =>
    tally.frames < frames && tally.complaints.length === 0 && target.isAlive;
  const intrude = async (form: Form): Promise<void> => {
    while (goOn()) {
      connectionNumber += 1;
      await new Intruder(target.url, form, seed, connectionNumber, tally).live(
        FRAMES_PER_CONNECTION,
      );
      if (connectionNumber % 50 === 0) progress(tally);
    }
  };
  const restless = forms.map((form, i) => beRestless(target, form, seed + i, goOn));
  await Promise.all(
    forms.flatMap((form) => Array.from({ length: INTRUDERS }, () => intrude(form))),
  );
  const runs = await Promise.all(restless);
  const seconds = (performance.now() - startMs) / 1000;
  source.stop();
  await work;
  await lookAfter(target, tally, bystanders);
  for (const { complaints } of runs) tally.complaints.push(...complaints);
  const sum = (figure: (w: Watcher) => number): number =>
    bystanders.reduce((all, w) => all + figure(w), 0);
  return {
    ...tally,
    seconds,
    bystanders: {
      messages: sum((w) => w.messages),
      proofs: sum((w) => w.proofs),
      gaps: sum((w) => w.gaps),
      restless: runs.reduce((all, { messages }) => all + messages, 0),
      restlessGaps: runs.reduce((all, { gaps }) => all + gaps, 0),
    },
    memoryBytes: { before: before.memoryBytes, after: target.memoryBytes },
    descriptors: { before: before.descriptors, after: target.descriptors },
  };
}

/** Checks what is left when the intruders have gone. */
async function lookAfter(
  target: Target,
  tally: Tally,
  bystanders: readonly Watcher[],
): Promise<void> {
  const { complaints } = tally;
  if (!target.isAlive) {
    complaints.push('the server has ended');
    return;
  }
  for (const bystander of bystanders) {
    if (!bystander.isOpen) complaints.push(`${bystander.name} was closed: ${bystander.closed}`);
    await bystander.settle();
    complaints.push(...bystander.complaints);
  }
  const left: Record<string, [figure: string, value: number]> = {
    sessions: ['tapedeck_sessions', bystanders.length],
    plays: ['tapedeck_plays{state="open"}', 0],
    waiting: ['tapedeck_plays{state="waiting"}', 0],
  };
  for (const [what, [name, value]] of Object.entries(left)) {
    if (!(await until(async () => (await target.metric(name)) === value).catch(() => false))) {
      complaints.push(`${what}: ${await target.metric(name)} are left, not ${value}`);
    }
  }
  const { total } = (await (await target.ask('/v1/admin/sessions', 'admin')).json()) as {
    total: number;
  };
  if (total !== bystanders.length) complaints.push(`${total} sessions are listed`);
  // A source that has disconnected no longer owns its instrument.
  await target.ingest(tape(trade('PREY', '1.00', '0.001')));
  complaints.push(...target.defects.slice(0, 5));
}
