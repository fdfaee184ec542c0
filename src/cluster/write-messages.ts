/**
 * Write messages: what a member asks of the leader, and what the leader answers, as bytes.
 *
 * Both are one MessagePack array: version, kind, then the fields of the kind in their order. Fields that a later
 * version adds go to the end and are passed over. Every value is checked: others may write to the same subjects.
 */

import { decode, Encoder } from '@msgpack/msgpack';

import { ERRORS, fault, fieldFault, type ErrorCode, type Fault } from '../../protocol/codes';
import { field, type Fields, type Memory } from '../../protocol/fields';
import { SIDES } from '../../protocol/messages';
import { FieldError, structOf, structValues } from '../../protocol/tuple';

export const WRITE_VERSION = 1;
/** The most bytes of a request or an answer. */
export const WRITE_BYTES_MAX = 64 * 1024;

const OWNER_LENGTH_MAX = 4_096;
const JSON_LENGTH_MAX = 32 * 1024;
const MESSAGE_LENGTH_MAX = 4_096;

const owner = field.text(OWNER_LENGTH_MAX, 'Whose command it is');
const symbol = field.symbol();
const target = {
  owner,
  symbol: field.nullable(symbol),
  orderId: field.nullable(field.seq('The order')),
  clientOrderId: field.nullable(field.text(36, "The client's own name of the order")),
};
const price = field.nullable(field.price());

const REQUESTS = {
  submit: {
    owner,
    isAssigned: field.boolean('Whether the member that asks has given the client order id'),
    clientOrderId: field.text(36, 'Never empty'),
    symbol,
    side: field.oneOf(SIDES, 'Side'),
    kind: field.oneOf(['limit', 'market'], 'Order type'),
    timeInForce: field.oneOf(['gtc', 'ioc', 'fok'], 'How long it stands'),
    postOnly: field.boolean('Refused if it would trade at once'),
    price,
    quantity: field.quantity(),
  },
  cancel: target,
  amend: { ...target, price, quantity: field.nullable(field.quantity()) },
  setState: {
    owner,
    symbol,
    state: field.oneOf(['pre-open', 'open', 'halted', 'closed'], 'The state to go to'),
  },
  cancelAll: { owner },
  define: { json: field.text(JSON_LENGTH_MAX, 'The members of the definition, as JSON') },
  renumber: { symbol },
  delete: { symbol },
} as const;

const epoch = field.seq('Epoch of the leader that answers');
const seq = field.seq('A member that has this number under this epoch has the command');

const ANSWERS = {
  done: { epoch, seq, orderId: field.seq('The order') },
  cancelled: {
    epoch,
    seq: field.nullable(seq),
    cancelled: field.seq('Orders that were cancelled'),
    left: field.seq('Orders that are still open'),
  },
  defined: { epoch, seq, symbol },
  changed: { epoch, seq },
  refused: {
    code: field.text(64, 'Error code'),
    message: field.text(MESSAGE_LENGTH_MAX, 'What is wrong'),
    field: field.nullable(field.text(MESSAGE_LENGTH_MAX, 'The field at fault')),
  },
} as const;

type OneOf<T extends Record<string, Fields>> = {
  [K in keyof T]: { readonly kind: K; readonly is: Readonly<Memory<T[K]>> };
}[keyof T];

export type WriteRequest = OneOf<typeof REQUESTS>;
export type WriteAnswer = OneOf<typeof ANSWERS>;

const encoder = new Encoder({ useBigInt64: true });

/** The bytes of a request, or why it cannot be sent. */
export function encodeRequest(request: WriteRequest): Uint8Array | Fault {
  return encoded(REQUESTS, request);
}

/** The request that bytes are, all of it checked; or why they are none. Never throws. */
export function decodeRequest(bytes: Uint8Array): WriteRequest | Fault {
  return decoded(REQUESTS, bytes) as WriteRequest | Fault;
}

export function encodeAnswer(answer: WriteAnswer): Uint8Array {
  const bytes = encoded(ANSWERS, answer);
  return 'code' in bytes ? encodeAnswer(refused(bytes)) : bytes;
}

/** The answer that bytes are, all of it checked; or why they are none. Never throws. */
export function decodeAnswer(bytes: Uint8Array): WriteAnswer | Fault {
  const answer = decoded(ANSWERS, bytes) as WriteAnswer | Fault;
  if (!('code' in answer) && answer.kind === 'refused' && !Object.hasOwn(ERRORS, answer.is.code)) {
    return fieldFault('answer.code', answer.is.code, 'an error code');
  }
  return answer;
}

/** The answer that says why something was not done. */
export function refused({ code, message, field: name }: Fault): WriteAnswer {
  const cut = (text: string): string => text.slice(0, MESSAGE_LENGTH_MAX).toWellFormed();
  const at = name === undefined ? null : cut(name);
  return { kind: 'refused', is: { code, message: cut(message), field: at } };
}

/** The fault of an answer that was checked. */
export function refusalOf({
  code,
  message,
  field: at,
}: Extract<WriteAnswer, { kind: 'refused' }>['is']): Fault {
  return fault(code as ErrorCode, message, at ?? undefined);
}

function encoded(
  forms: Readonly<Record<string, Fields>>,
  { kind, is }: { readonly kind: string; readonly is: object },
): Uint8Array | Fault {
  const values = structValues(forms[kind]!, is);
  const bytes = encoder.encode([WRITE_VERSION, Object.keys(forms).indexOf(kind), ...values]);
  return bytes.length > WRITE_BYTES_MAX ? tooLarge(bytes.length) : bytes;
}

function decoded(
  forms: Readonly<Record<string, Fields>>,
  bytes: Uint8Array,
): { kind: string; is: object } | Fault {
  if (bytes.length > WRITE_BYTES_MAX) return tooLarge(bytes.length);
  let values: unknown;
  try {
    values = decode(bytes, { useBigInt64: true });
  } catch (e) {
    return fault('malformed-msgpack', `not a write: ${String(e).slice(0, 120).toWellFormed()}`);
  }
  if (!Array.isArray(values)) return fieldFault('write', values, 'an array');
  const [version, index, ...rest] = values as unknown[];
  if (version !== WRITE_VERSION) {
    return fieldFault('write.version', version, `${WRITE_VERSION}`, 'not-supported');
  }
  const kind = typeof index === 'number' ? Object.keys(forms)[index] : undefined;
  if (kind === undefined) return fieldFault('write.kind', index, 'a kind of this version');
  try {
    return { kind, is: structOf(forms[kind]!, rest, kind) };
  } catch (e) {
    if (e instanceof FieldError) return e.fault;
    throw e;
  }
}

function tooLarge(bytes: number): Fault {
  return fault('frame-too-large', `a write of ${bytes} bytes; at most ${WRITE_BYTES_MAX}`);
}
