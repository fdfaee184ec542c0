/**
 * Thread clock: processor time of the calling thread, which other processes and a busy machine do not affect.
 * `process.threadCpuUsage` is unsuitable: Linux advances it in steps of 4 ms.
 */

import { dlopen, FFIType, ptr } from 'bun:ffi';

const CLOCK_THREAD_CPUTIME_ID = 3;

/** @returns a clock in ms; on other systems than Linux, the monotonic clock */
export function threadClock(): () => number {
  if (process.platform !== 'linux') return () => performance.now();
  const { symbols } = dlopen('libc.so.6', {
    clock_gettime: { args: [FFIType.i32, FFIType.ptr], returns: FFIType.i32 },
  });
  const time = new BigInt64Array(2); // seconds, nanoseconds
  const at = ptr(time);
  return () => {
    symbols.clock_gettime(CLOCK_THREAD_CPUTIME_ID, at);
    return Number(time[0]!) * 1_000 + Number(time[1]!) / 1e6;
  };
}
