import { describe, expect, test } from 'bun:test';

import fc from 'fast-check';

import { BAR_INTERVALS } from '../../protocol/messages';
import { CHANNELS } from '../../protocol/channels';
import { listed, parseTopic, topicFault, topicOf } from '../../protocol/topics';
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

  test('[S1] arbitrary text never throws; text that is no topic gives a fault', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        if (parseTopic(text) !== undefined) return;
        expect(topicFault(text, 'topics[0]')).toMatchObject({
          code: 'unknown-topic',
          field: 'topics[0]',
          message: expect.stringMatching(/^topics\[0\] is [^]*; expected /),
        });
      }),
    );
  });

  test.each([
    ['bar:X:2m', 'its interval is "2m"; expected 1s, 1m, 5m, 1h or 1d'],
    ['bar:X', 'its interval is ""; expected 1s, 1m, 5m, 1h or 1d'],
    ['bar:*:1M', 'its interval is "1M"; expected 1s, 1m, 5m, 1h or 1d'],
    ['bar:X:1m:1m', 'expected bar:SYMBOL:INTERVAL'],
    ['trades:X', `its channel is "trades"; expected ${listed(CHANNELS)}; the nearest is trade`],
    ['BOOK:X', `expected ${listed(CHANNELS)}; the nearest is book`],
    ['X:trade', `its channel is "X"; expected ${listed(CHANNELS)}`],
    ['trade', 'expected trade:SYMBOL, or * as the symbol for all of them'],
    ['trade:two words', 'its symbol is "two words"; expected a symbol, or * for all'],
    ['trade:X:1m', 'expected trade:SYMBOL; only bars have an interval'],
    ['status:X', 'expected status alone, which is of all instruments'],
    ['', 'expected a topic such as book:BTCUSDT'],
  ])('[S1] %j: the part that is at fault is named', (text, words) => {
    const { message } = topicFault(text, 'the topic');
    expect(message).toStartWith(`the topic is ${JSON.stringify(text)}`);
    expect(message).toEndWith(words);
  });

  test('[S1] the topic of a message, if it has one, can be subscribed', () => {
    fc.assert(
      fc.property(anyMessage(), (message) => {
        const topic = topicOf(message);
        if (topic === undefined) return;
        expect(parseTopic(topic)).toMatchObject({ channel: message.type });
      }),
    );
  });
});
