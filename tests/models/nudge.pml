/* Does main miss something that a worker cleared just before it fired its Nudge?
 *
 * Model of Nudge in base/mailbox.h with store buffers (x86-TSO). A worker clears slots with plain
 * stores and fires after each; main looks at all slots once per nudge. An exchange empties its
 * thread's buffer; a posted nudge runs once.
 *
 * MUTANT=1: the nudge looks first and takes itself back afterwards.
 * MUTANT=2: it takes itself back with a plain store instead of an exchange.
 * MUTANT=3: fire() tests in_flight with a plain load before it exchanges.
 * MUTANT=4: the worker fires before it clears the slot.
 * Each must violate the assertion; without MUTANT there must be no error.
 */
#ifndef MUTANT
#define MUTANT 0
#endif

#define SLOTS 3

/* Memory: the slots (1: protected), then in_flight. */
#define IN_FLIGHT SLOTS
byte memory[SLOTS + 1];
bool seen[SLOTS];  /* main saw the slot empty */
byte num_posted;
bool done;

#define WORKER 0
#define MAIN 1
chan buffer[2] = [2] of { byte, byte };
#define FENCE(thread) (empty(buffer[thread]))

proctype drain_buffer(byte thread) {
  byte address, value;
end:
  do
  :: atomic { buffer[thread]?address, value -> memory[address] = value; address = 0; value = 0 }
  od
}

inline fire() {
#if MUTANT == 3
  busy = memory[IN_FLIGHT];
  if
  :: busy
  :: else ->
#endif
     atomic { FENCE(WORKER) -> busy = memory[IN_FLIGHT]; memory[IN_FLIGHT] = 1 };
     if
     :: busy
     :: else -> num_posted++
     fi
#if MUTANT == 3
  fi
#endif
}

proctype worker() {
  byte i;
  bool busy;
  for (i : 0 .. SLOTS - 1) {
#if MUTANT == 4
    fire();
    buffer[WORKER]!i, 0
#else
    buffer[WORKER]!i, 0;
    fire()
#endif
  }
  done = true
}

inline look() {
  for (i : 0 .. SLOTS - 1) { seen[i] = seen[i] || memory[i] == 0 }
}

proctype consumer() {
  byte i;
end:
  do
  :: num_posted > 0 ->
     num_posted--;
#if MUTANT == 1
     look();
     atomic { FENCE(MAIN) -> memory[IN_FLIGHT] = 0 }
#elif MUTANT == 2
     buffer[MAIN]!IN_FLIGHT, 0;
     look()
#else
     atomic { FENCE(MAIN) -> memory[IN_FLIGHT] = 0 };
     look()
#endif
  od
}

active proctype monitor() {
  (done && timeout);
  assert(seen[0] && seen[1] && seen[2])
}

init {
  d_step { memory[0] = 1; memory[1] = 1; memory[2] = 1 };
  atomic { run drain_buffer(WORKER); run drain_buffer(MAIN); run worker(); run consumer() }
}
