/** Format: numbers and times as text. Prices keep every decimal; times are UTC. */

import { formatSum, type Sum } from '../../../protocol/sums';
import { formatDecimal, type Nanos } from '../../client/index';

/** A scaled integer with its decimals and separators between thousands. */
export function decimal(value: number, scale: number): string {
  return grouped(formatDecimal(value, scale));
}

/** Adds separators between thousands. */
export function grouped(text: string): string {
  const point = text.indexOf('.');
  const end = point < 0 ? text.length : point;
  const signed = text.startsWith('-');
  if (end <= (signed ? 4 : 3)) return signed ? `−${text.slice(1)}` : text;
  const whole = text.slice(signed ? 1 : 0, end).replaceAll(/\B(?=(\d{3})+$)/g, ',');
  return (signed ? '−' : '') + whole + text.slice(end);
}

/** A sum with its decimals and separators between thousands. */
export function decimalOfSum(sum: Sum, scale: number): string {
  return grouped(formatSum(sum, scale));
}

/** The nearest double, for drawing. */
export function scaledNumber(sum: Sum, scale: number): number {
  return Number(sum) / 10 ** scale;
}

export function decimalOrDash(value: number | null | undefined, scale: number): string {
  return value === null || value === undefined ? '–' : decimal(value, scale);
}

export function count(value: number): string {
  return decimal(value, 0);
}

/** Change of a price against an earlier one, such as `+1.25%`; empty if either is unknown. */
export function percent(now: number | null, before: number | null): string {
  if (now === null || before === null || before === 0) return '';
  const share = ((now - before) / Math.abs(before)) * 100;
  if (Math.abs(share) < 0.005) return '0.00%';
  return `${share >= 0 ? '+' : '−'}${Math.abs(share).toFixed(2)}%`;
}

export function direction(now: number | null, before: number | null): 'up' | 'down' | '' {
  if (now === null || before === null || now === before) return '';
  return now > before ? 'up' : 'down';
}

/** `17:04:31.250` */
export function timeOfDay(time: Nanos): string {
  return time.toISOString().slice(11, 23);
}

/** `2026-11-22 17:04:31.250` */
export function moment(time: Nanos): string {
  return time.toISOString().slice(0, 23).replace('T', ' ');
}

/** A duration in its largest unit: `0.4 s`, `12 s`, `5 min`, `3 h`, `2 d`. */
export function duration(ms: number): string {
  const s = Math.max(0, ms) / 1000;
  if (s < 9.95) return `${s.toFixed(1)} s`;
  if (s < 100) return `${s.toFixed(0)} s`;
  if (s < 6_000) return `${Math.round(s / 60)} min`;
  return s < 172_800 ? `${Math.round(s / 3_600)} h` : `${Math.round(s / 86_400)} d`;
}

/** A latency in milliseconds, with about three digits. */
export function latency(ms: number): string {
  return ms < 10 ? ms.toFixed(1) : Math.round(ms).toString();
}
