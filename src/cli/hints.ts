/** Hints: what to do about a refusal of the server, in terms of the command line. */

import { ERRORS, type ErrorCode } from '../../protocol/codes';

/** These replace hints about frames, fields and routes. */
const OWN: Partial<Record<ErrorCode, string>> = {
  'unauthorized': 'Give a key with --key-file or TAPEDECK_KEY; "tapedeck keys make" makes one.',
  'forbidden':
    'Give a key with --key-file or TAPEDECK_KEY whose role allows it; "tapedeck keys list" lists the roles.',
  'unknown-symbol': '"tapedeck tail \'tick:*\'" lists the instruments.',
  'unknown-topic': 'Topics are channel:SYMBOL, such as book:BTCUSDT; see "tapedeck tail --help".',
  'too-many-topics': 'Follow fewer topics, or raise limits.topicsMax of the server.',
  'invalid-field': 'Correct the named field; --help lists what the command accepts.',
  'out-of-range': 'The value is too large for the scales of the instrument.',
  'not-found': 'The server is of another version than this command, or something else.',
  'method-not-allowed': 'The server is of another version than this command.',
  'no-data': 'The instrument has had no such event yet.',
  'records-missing': 'Give --at a time outside the named records.',
  'before-first-record': 'Give --at the named time, or a later one.',
  'limit-reached': 'Wait a little, or raise the named limit in the settings of the server.',
  'overloaded': 'Wait a little; too many requests are waiting in the server.',
  'journal-failing': 'Try again later; the log of the server gives the error of its disk.',
  'book-incomplete': 'Wait for the next snapshot of the source.',
  'history-failed': 'Run the command again.',
  'no-leader': 'Run the command again; a new leader takes over within seconds.',
  'unknown-outcome': 'Look up what became of it before you run the command again.',
  'shutting-down': 'Run the command again when the server is back.',
  'frame-too-large':
    'Send less at once; limits.frameBytesMax and bodyBytesMax of the server say how much.',
  'malformed-json': 'The line is not valid JSON in UTF-8.',
  'malformed-msgpack': 'The server is of another version than this command.',
  'wrong-frame': 'The server is of another version than this command.',
  'unknown-message': 'The server is of another version than this command.',
  'unexpected-message': 'The server is of another version than this command.',
  'upgrade-required': 'Give the address of a Tapedeck with --url.',
  'not-subscribed': 'The server is of another version than this command.',
  'unknown-session': 'The session has ended already.',
};

/** @param hint the server's own hint, used for codes that this command does not know */
export function hintOf(code: string, hint: string | null): string {
  const isKnown = Object.hasOwn(ERRORS, code);
  if (!isKnown) return hint ?? 'The server refused it.';
  return OWN[code as ErrorCode] ?? ERRORS[code as ErrorCode].hint;
}
