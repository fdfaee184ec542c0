/** Presence: what members announce, whom they know, and what they make of hostile announcements. */

import { describe, expect, test } from 'bun:test';

import type { MemberReport } from '../../src/base/contracts/cluster';
import { Presence, type PresenceTransport } from '../../src/cluster/presence';
import { VirtualTime } from '../support/virtual-time';

/** Members that hear each other, unless they are deaf. */
class Setup {
  readonly time = new VirtualTime();
  readonly sent: Uint8Array[] = [];
  private readonly listeners = new Set<(bytes: Uint8Array) => void>();

  member(name: string, more: Partial<MemberReport> = {}): { presence: Presence; report: Draft } {
    const report: Draft = {
      instance: `${name}1`,
      name,
      role: 'edge',
      state: 'following',
      url: '',
      version: '1.0.0',
      epoch: 3,
      seq: 10,
      behindMs: 0,
      ...more,
    };
    return { presence: new Presence(this.transport(), this.time.clock, () => report), report };
  }

  say(bytes: Uint8Array): void {
    this.sent.push(bytes);
    for (const take of this.listeners) take(bytes);
  }

  private transport(): PresenceTransport {
    return {
      announce: (bytes) => this.say(bytes),
      listen: (take) => {
        this.listeners.add(take);
        return () => this.listeners.delete(take);
      },
    };
  }
}

type Draft = { -readonly [K in keyof MemberReport]: MemberReport[K] };

const names = (presence: Presence): string[] =>
  presence.members().map(({ name, state, isAway }) => `${name} ${state}${isAway ? ' away' : ''}`);

describe('presence', () => {
  test('members know each other, each second again, and at once when a state changes', () => {
    const { time, sent, ...of } = bound(new Setup());
    const [a, b] = [of.member('b-core'), of.member('a-edge')];
    for (const { presence } of [a, b]) presence.look();
    expect(names(a.presence)).toEqual(['a-edge following', 'b-core following']);
    for (let i = 0; i < 99; i++) {
      time.run(10);
      a.presence.look();
    }
    expect(sent).toHaveLength(3); // one more, for the newcomer
    a.report.state = 'leading';
    a.presence.look();
    expect(names(b.presence)).toEqual(['a-edge following', 'b-core leading']);
    a.report.seq = 77;
    time.run(1_000);
    a.presence.look();
    expect(b.presence.members()[1]).toMatchObject({ seq: 77, silentMs: 0 });
    expect(sent).toHaveLength(5);
  });

  test('a silent member is away, a stopped one is gone, and a process that starts again replaces its former self', () => {
    const { time, ...of } = bound(new Setup());
    const [a, b, c] = [of.member('a'), of.member('b'), of.member('c')];
    const look = (...all: (typeof a)[]): void => {
      for (const { presence } of all) presence.look();
    };
    look(a, b, c);
    for (let i = 0; i < 6; i++) {
      time.run(1_000);
      look(a, b);
    }
    expect(names(a.presence)).toEqual(['a following', 'b following', 'c following away']);
    look(of.member('c', { instance: 'c2' }));
    expect(names(a.presence)).toEqual(['a following', 'b following', 'c following']);
    b.presence.stop();
    b.presence.stop();
    expect(names(a.presence)).toEqual(['a following', 'c following']);
  });

  test('two that live under one name are both listed', () => {
    const of = new Setup();
    const a = of.member('a');
    for (const instance of ['x', 'y']) of.member('twin', { instance }).presence.look();
    expect(a.presence.members().map(({ instance }) => instance)).toEqual(['a1', 'x', 'y']);
  });

  test.each([
    ['no JSON', 'nonsense'],
    ['not UTF-8', new Uint8Array([0xff, 0x22])],
    ['null', 'null'],
    ['a member of another type', { seq: '5' }],
    ['a negative number', { epoch: -1 }],
    ['an unknown state', { state: 'king' }],
    ['a name without an end', { name: 'x'.repeat(65) }],
    ['an address that is a script', { url: 'javascript:alert(1)' }],
    ['too many bytes', { more: 'x'.repeat(2_048) }],
  ])('%s is refused and counted', (_, wrong) => {
    const of = new Setup();
    const { presence, report } = of.member('a');
    of.member('b').presence.look();
    of.say(wrong instanceof Uint8Array ? wrong : new TextEncoder().encode(textOf(wrong, report)));
    expect(presence.refused).toBe(1);
    expect(names(presence)).toEqual(['a following', 'b following']);
  });

  test('a flood of members is bounded, and pushes out who has been silent longest', () => {
    const { time, ...of } = bound(new Setup());
    const a = of.member('a');
    for (let i = 0; i < 200; i++) {
      of.member(`m${i}`).presence.look();
      time.run(1);
    }
    const members = a.presence.members();
    expect(members).toHaveLength(65);
    expect(members.some(({ name }) => name === 'm136')).toBe(true);
    expect(members.some(({ name }) => name === 'm135')).toBe(false);
  });
});

/** The text itself, or that of a report in which something is wrong. */
function textOf(wrong: string | object, report: MemberReport): string {
  return typeof wrong === 'string' ? wrong : JSON.stringify({ ...report, instance: 'z', ...wrong });
}

/** So that a test can take its parts apart. */
function bound(setup: Setup) {
  return {
    time: setup.time,
    sent: setup.sent,
    member: (name: string, more?: Partial<MemberReport>) => setup.member(name, more),
  };
}
