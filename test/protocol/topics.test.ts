import { describe, expect, test } from 'bun:test';

import fc from 'fast-check';

import { BAR_INTERVALS } from '../../protocol/messages';
import { CHANNELS, parseTopic, topicOf } from '../../protocol/topics';
import { anyMessage, symbol } from '../support/arbitraries';

describe('topics', () => {
  test('[S1] every channel takes a symbol or *, a bar also its interval, status nothing', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...CHANNELS),
        fc.oneof(symbol(), fc.constant('*')),
        fc.constantFrom(...BAR_INTERVALS),
        (channel, symbol, interval) => {
          const withSymbol = { channel, symbol, interval: '' };
          const plain = channel !== 'bar' && channel !== 'status';
          expect(parseTopic(`${channel}:${symbol}`)).toEqual(plain ? withSymbol : undefined);
          expect(parseTopic(`${channel}:${symbol}:${interval}`)).toEqual(
            channel === 'bar' ? { channel, symbol, interval } : undefined,
          );
          expect(parseTopic(channel)).toEqual(
            channel === 'status' ? { channel, symbol: '', interval: '' } : undefined,
          );
        },
      ),
    );
  });

  const wrong = [
    '',
    ':',
    'tick',
    'tick:',
    'tick:*:',
    'tick:BTC:1m',
    'TICK:BTC',
    'tick:B TC',
    'tick:**',
    'tick:*A',
    'tick:ABCDEFGHIJKLMNOPQ',
    'bar:BTC',
    'bar:BTC:',
    'bar:BTC:2m',
    'bar:BTC:1m:',
    'status:',
    'status:BTC',
    'quote:BTC',
    '*',
    '*:BTC',
    ' tick:BTC',
    'tick:BTC ',
    '__proto__:BTC',
    'tick:٣',
  ];
  for (const text of wrong) {
    test(`[S1] "${text}" is no topic`, () => expect(parseTopic(text)).toBeUndefined());
  }

  test('[S1] arbitrary text never throws', () => {
    fc.assert(fc.property(fc.string(), (text) => void parseTopic(text)));
  });

  test('[S1] the topic of a message, where it has one, is a topic that can be subscribed', () => {
    fc.assert(
      fc.property(anyMessage(), (message) => {
        const topic = topicOf(message);
        if (topic === undefined) return;
        expect(parseTopic(topic)).toMatchObject({ channel: message.type });
      }),
    );
  });
});
