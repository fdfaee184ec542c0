/** Travel messages: texts that explain why a past time cannot be displayed. */

import { parseTime, type TapedeckError } from '../../client/index';
import { moment } from './format';

/** Texts by the code of the refusal. */
const WORDS: Readonly<Record<string, string>> = {
  'records-missing':
    'Some records of this time are missing, so the book is not known. Choose another time.',
  'book-incomplete': 'The book was incomplete at this time.',
  'no-data': 'There was no book at this time.',
  'history-failed': 'The journal could not be read. Try again.',
  'overloaded': 'The server is busy. Try again in a moment.',
  'limit-reached': 'Too many replays are running from here. Close another tab and try again.',
  'connection-failed': 'There is no connection to the server.',
};

export function travelMessage({ code, message, hint }: TapedeckError): string {
  if (code === 'before-first-record') {
    const first = /\d{4}-\d\d-\d\dT[\d:.]+Z/.exec(message)?.[0];
    const time = first === undefined ? undefined : parseTime(first);
    const from = time === undefined ? '' : ` They begin at ${moment(time)}.`;
    return `This is before the first record.${from}`;
  }
  return WORDS[code] ?? (hint === null ? `${message}.` : `${message}. ${hint}`);
}
