/**
 * Codes: every error of Tapedeck in one table, for REST, WebSocket and command line.
 */

/** Error codes, each with its HTTP status and a hint. */
export const ERRORS = {
  'malformed-json': { status: 400, hint: 'Send valid JSON in UTF-8.' },
  'malformed-msgpack': { status: 400, hint: 'Send one MessagePack array of messages per frame.' },
  'invalid-field': { status: 400, hint: 'Correct the field that is named.' },
  'unknown-message': { status: 400, hint: 'The message types are listed in protocol/README.md.' },
  'wrong-frame': { status: 400, hint: 'Binary frames on msgpack, text frames on json.' },
  'unexpected-message': { status: 400, hint: 'This message goes from server to client.' },
  'unknown-topic': { status: 400, hint: 'Topics are channel:SYMBOL, such as book:BTCUSDT.' },
  'too-many-topics': { status: 400, hint: 'Unsubscribe first, or use more connections.' },
  'frame-too-large': { status: 413, hint: 'Split the frame; welcome.limits names the largest.' },
  'too-deep': { status: 400, hint: 'No message nests deeper than 6.' },
  'no-replay': { status: 409, hint: 'Start a replay first.' },
  'replay-under-way': { status: 409, hint: 'Stop the replay, or use another connection.' },
  'several-shards': {
    status: 400,
    hint: 'Send one request for each shard; instrument.shard names that of a symbol.',
  },
  'not-subscribed': { status: 400, hint: 'Subscribe before unsubscribing.' },
  'off-increment': { status: 400, hint: 'Use a whole multiple of the increment.' },
  'out-of-range': { status: 400, hint: 'Send a value within the range that is named.' },
  'unauthorized': { status: 401, hint: 'Give a key: Authorization: Bearer KEY, or hello.key.' },
  'forbidden': { status: 403, hint: 'Use a key whose roles allow this.' },
  'unknown-symbol': { status: 404, hint: 'GET /v1/instruments lists what there is.' },
  'unknown-session': { status: 404, hint: 'GET /v1/admin/sessions lists what there is.' },
  'not-found': { status: 404, hint: 'GET /docs lists the routes.' },
  'method-not-allowed': { status: 405, hint: 'Use the method that the route names.' },
  'no-data': { status: 404, hint: 'The instrument has had no such event yet.' },
  'records-missing': { status: 404, hint: 'Ask for a time outside the records that are named.' },
  'before-first-record': { status: 404, hint: 'Ask for the time that is named, or a later one.' },
  'symbol-in-use': { status: 409, hint: 'Another publisher feeds this instrument.' },
  'definition-conflict': {
    status: 409,
    hint: 'Scales of an instrument never change, nor the rules of a venue.',
  },
  'too-many-levels': { status: 409, hint: 'Delete levels, or feed fewer books.' },
  'too-many-instruments': {
    status: 409,
    hint: 'Waiting does not help: the operator raises limits.instrumentsMax.',
  },
  'wrong-market': { status: 409, hint: 'Venue instruments take orders, feed instruments events.' },
  'market-closed': { status: 409, hint: 'Follow the topic status.' },
  'market-halted': { status: 409, hint: 'Follow the topic status; cancels are taken.' },
  'not-in-pre-open': { status: 409, hint: 'Wait for the opening, or send a plain gtc limit.' },
  'invalid-combination': { status: 400, hint: 'Market goes with ioc or fok; post-only with gtc.' },
  'invalid-quantity': { status: 400, hint: 'Send a quantity above 0.' },
  'quantity-off-increment': { status: 400, hint: 'See quantityIncrement of the instrument.' },
  'quantity-below-minimum': { status: 400, hint: 'See rules.quantityMin of the instrument.' },
  'quantity-above-maximum': { status: 400, hint: 'See rules.quantityMax of the instrument.' },
  'invalid-price': { status: 400, hint: 'A limit order has a price above 0, a market order none.' },
  'price-off-increment': { status: 400, hint: 'See priceIncrement of the instrument.' },
  'price-outside-band': { status: 400, hint: 'See rules.priceMin and priceMax.' },
  'limit-reached': { status: 429, hint: 'Slow down, or use fewer connections.' },
  'too-many-orders': { status: 429, hint: 'Cancel resting orders first.' },
  'book-full': { status: 503, hint: 'Try again later.' },
  'resting-overflow': { status: 409, hint: 'Send a smaller quantity.' },
  'would-cross': { status: 409, hint: 'Use a price that does not trade at once.' },
  'unknown-order': { status: 404, hint: 'It may have traded or left already.' },
  'auction-under-way': { status: 409, hint: 'Send it again shortly.' },
  'same-state': { status: 409, hint: 'Nothing is to be done.' },
  'duplicate-client-order-id': { status: 409, hint: 'Give each order a name of its own.' },
  'not-supported': { status: 501, hint: 'This server does not offer it.' },
  'upgrade-required': { status: 426, hint: 'Connect with a WebSocket client.' },
  'overloaded': { status: 503, hint: 'Wait for acknowledgements before sending more.' },
  'journal-failing': { status: 503, hint: 'Try again later; GET /readyz states the reason.' },
  'book-incomplete': { status: 503, hint: 'Wait for the next snapshot of the source.' },
  'history-failed': { status: 503, hint: 'Ask again.' },
  'no-leader': { status: 503, hint: 'Send it again; a new leader takes over within seconds.' },
  'unknown-outcome': { status: 504, hint: 'Look up what became of it before you send it again.' },
  'shutting-down': { status: 503, hint: 'Reconnect.' },
  'internal': { status: 500, hint: 'This is a defect of the server; please report it.' },
} as const satisfies Record<string, { status: number; hint: string }>;

export type ErrorCode = keyof typeof ERRORS;

/** An expected failure, as a value. */
export interface Fault {
  readonly code: ErrorCode;
  readonly message: string;
  readonly field?: string;
  /** The request at fault, if its id could be read. */
  readonly id?: number;
}

export function fault(code: ErrorCode, message: string, field?: string): Fault {
  return field === undefined ? { code, message } : { code, message, field };
}

/** A fault of a field: its name, the given value, what was expected. */
export function fieldFault(
  field: string,
  value: unknown,
  expected: string,
  code: ErrorCode = 'invalid-field',
): Fault {
  return { code, field, message: `${field} is ${shown(value)}; expected ${expected}` };
}

/** A fault of a part as a fault of the whole: `price` becomes `publish.events[3].price`. */
export function within(path: string, f: Fault): Fault {
  if (f.field === undefined) return f;
  const message = f.message.startsWith(f.field) ? `${path}.${f.message}` : f.message;
  return { ...f, message, field: `${path}.${f.field}` };
}

/** A value for an error message: short, on one line, whatever was sent. */
export function shown(value: unknown): string {
  let text: string;
  if (value === undefined) return 'missing';
  if (typeof value === 'string') text = JSON.stringify(value.slice(0, 80));
  else if (Array.isArray(value)) text = `an array of ${value.length}`;
  else if (typeof value === 'object' && value !== null) text = 'an object';
  else text = `${value as number | bigint | boolean | null}`;
  // Truncation may split a surrogate pair.
  return text.length > 60 ? `${text.slice(0, 57).toWellFormed()}…` : text;
}

/** How a connection ends: the WebSocket close code, its reason, and whether to reconnect. */
export const CLOSES = {
  'going-away': { code: 1001, reconnect: true },
  'frame-too-large': { code: 1009, reconnect: false },
  'protocol-error': { code: 4000, reconnect: false },
  'unauthorized': { code: 4001, reconnect: false },
  'key-revoked': { code: 4002, reconnect: false },
  'too-many-errors': { code: 4003, reconnect: false },
  'closed-by-operator': { code: 4004, reconnect: false },
  'key-expired': { code: 4005, reconnect: false },
  'too-slow': { code: 4010, reconnect: true },
  'unresponsive': { code: 4011, reconnect: true },
  'limit-reached': { code: 4020, reconnect: true },
} as const satisfies Record<string, { code: number; reconnect: boolean }>;

export type CloseReason = keyof typeof CLOSES;
