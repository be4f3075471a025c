// Time, for all modules.

/** Never runs backwards. It may stop while the machine sleeps. */
export function now_ms() {
  return performance.now();
}

/** Each connection, each follower and the watch over the worker check once in this time. */
export const TICK_S = 1;
