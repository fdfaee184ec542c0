import { describe, expect, test } from 'bun:test';

import { assert, InvariantError } from '../../src/base/assert';
import { StartFault } from '../../src/base/start-fault';

describe('faults', () => {
  test('a broken invariant is thrown with its message', () => {
    expect(() => assert(true, 'holds')).not.toThrow();
    expect(() => assert(false, 'does not hold')).toThrow(new InvariantError('does not hold'));
  });

  test('a start fault has a reason, an advice, and an exit code', () => {
    const inUse = new StartFault('data-in-use', 'message', 'hint');
    expect([inUse.code, inUse.message, inUse.hint, inUse.exitCode]).toEqual([
      'data-in-use',
      'message',
      'hint',
      75,
    ]);
    const usage = new StartFault('bad-usage', '', '');
    expect(usage.exitCode).toBe(64);
  });
});
