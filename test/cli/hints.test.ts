/** Hints of the command line name its own options and commands, not those of REST. */

import { expect, test } from 'bun:test';

import { ERRORS } from '../../protocol/codes';
import { hintOf } from '../../src/cli/hints';

test.each(Object.keys(ERRORS))('%s', (code) => {
  const hint = hintOf(code, 'what the server said');
  expect(hint).not.toBe('what the server said');
  expect(hint).not.toMatch(
    /\b(GET|POST|REST|WebSocket|Authorization|Bearer)\b|\/v1\/|\/readyz|hello\.|welcome|README|[Ss]ubscribe|\bframe\b/,
  );
});

test('for an unknown code, the text of the server', () => {
  expect(hintOf('of-tomorrow', 'Do this.')).toBe('Do this.');
  expect(hintOf('of-tomorrow', null)).toBe('The server refused it.');
  expect(hintOf('constructor', null)).toBe('The server refused it.');
});
