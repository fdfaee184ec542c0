/** Leader writes: the leader's end of what other members ask; the recorder of this process carries it out. */

import { fault, type ErrorCode, type Fault } from '../../protocol/codes';
import {
  decodeRequest,
  encodeAnswer,
  refusalOf,
  refused,
  type WriteAnswer,
  type WriteRequest,
} from '../cluster/write-messages';
import type { Recorder } from './recorder';

/** The most requests of other members that may wait for their answers. */
const WAITING_MAX = 10_000;
const REPLACED = 'another leader has taken over from this one';

/** Refusals that say nothing of the state of the market, nor of an earlier try of the same command. */
export const PASSING: ReadonlySet<ErrorCode> = new Set([
  'overloaded',
  'journal-failing',
  'no-leader',
  'shutting-down',
  'limit-reached',
  'not-supported',
  'internal',
]);

/**
 * Answers the requests of other members. The handler never rejects.
 * @param isProven resolves when the log has shown that what this leader knows now holds for the cluster: true, or that
 *   another leader has taken over
 */
export function writeServer(
  recorder: Recorder,
  isProven: () => Promise<boolean>,
): (bytes: Uint8Array) => Promise<Uint8Array> {
  let waiting = 0;
  return async (bytes) => {
    if (waiting >= WAITING_MAX) {
      const message = `${waiting} commands of other members wait already; at most ${WAITING_MAX} may`;
      return encodeAnswer(refused(fault('overloaded', message)));
    }
    const request = decodeRequest(bytes);
    if ('code' in request) return encodeAnswer(refused(request));
    waiting += 1;
    const answer = await carryOut(request, recorder);
    const holds = !tellsState(answer) || (await isProven());
    waiting -= 1;
    return encodeAnswer(holds ? answer : refused(fault('no-leader', REPLACED)));
  };
}

/**
 * Whether an answer tells what this leader knows, and names no event that the asking member waits for. A leader that
 * was replaced may know what no longer is.
 */
function tellsState({ kind, is }: WriteAnswer): boolean {
  switch (kind) {
    case 'refused':
      return !PASSING.has(refusalOf(is).code);
    case 'cancelled':
      return is.seq === null;
    case 'defined':
      return true; // also of a definition that changes nothing
    default:
      return false;
  }
}

/** Resolves when the journal has the command, or with why it was refused. */
export async function carryOut(request: WriteRequest, recorder: Recorder): Promise<WriteAnswer> {
  const { kind, is } = request;
  switch (kind) {
    case 'define':
    case 'renumber':
    case 'delete':
      return administer(request, recorder);
    case 'cancelAll': {
      const done = await recorder.orders.cancelAll(is.owner);
      if ('code' in done) return refused(done);
      return { kind: 'cancelled', is: { epoch: recorder.epoch, ...done } };
    }
    default: {
      const done = await command(request, recorder);
      if ('code' in done) return refused(done);
      const { seq, orderId } = done;
      return { kind: 'done', is: { epoch: recorder.epoch, seq, orderId } };
    }
  }
}

type Asked<K> = Extract<WriteRequest, { kind: K }>;

function command(
  { kind, is }: Asked<'submit' | 'cancel' | 'amend' | 'setState'>,
  { orders }: Recorder,
): Promise<{ readonly seq: number; readonly orderId: number } | Fault> {
  switch (kind) {
    case 'submit': {
      const { owner, isAssigned, ...fields } = is;
      return isAssigned ? orders.submitNamed(owner, fields) : orders.submit(owner, fields);
    }
    case 'cancel':
      return orders.cancel(is.owner, is);
    case 'amend':
      return orders.amend(is.owner, is);
    case 'setState':
      return orders.setState(is.owner, is.symbol, is.state);
  }
}

async function administer(
  { kind, is }: Asked<'define' | 'renumber' | 'delete'>,
  recorder: Recorder,
): Promise<WriteAnswer> {
  const { administration, epoch } = recorder;
  if (kind !== 'define') {
    const seq = await administration[kind](is.symbol);
    return typeof seq === 'number' ? { kind: 'changed', is: { epoch, seq } } : refused(seq);
  }
  let fields: unknown;
  try {
    fields = JSON.parse(is.json);
  } catch {
    return refused(fault('malformed-json', 'the definition is not valid JSON'));
  }
  const symbol = await administration.define(fields);
  if (typeof symbol !== 'string') return refused(symbol);
  return { kind: 'defined', is: { epoch, seq: recorder.lastSeq, symbol } };
}
