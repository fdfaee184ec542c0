/** Leader writes: the leader's end of what other members ask; the recorder of this process carries it out. */

import { fault, type Fault } from '../../protocol/codes';
import {
  decodeRequest,
  encodeAnswer,
  refused,
  type WriteAnswer,
  type WriteRequest,
} from '../cluster/write-messages';
import type { Recorder } from './recorder';

/** The most requests of other members that may wait for their answers. */
const WAITING_MAX = 10_000;

/** Answers the requests of other members. The handler never rejects. */
export function writeServer(recorder: Recorder): (bytes: Uint8Array) => Promise<Uint8Array> {
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
    waiting -= 1;
    return encodeAnswer(answer);
  };
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
