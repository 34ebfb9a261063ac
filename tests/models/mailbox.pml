/* Can a post lie in a mailbox while its consumer sleeps?
 *
 * Model of base/mailbox.h with an eventfd behind its Wake hook. A push is one compare-and-swap and a
 * drain one exchange, so each is one step and empties its thread's store buffer; `event` is the
 * kernel's counter (a read clears it). The queue is kept as counts of each producer's posts; the
 * order is checked by tests.
 *
 * MUTANT=1: the consumer drains first and takes the wake-up back afterwards.
 * MUTANT=2: the producer wakes first and pushes afterwards.
 * Each must violate the assertion; without MUTANT there must be no error.
 */
#ifndef MUTANT
#define MUTANT 0
#endif

#define PRODUCERS 2
#define POSTS 3

byte queued;
bool event;
byte num_run;
byte num_done;

proctype producer() {
  byte i;
  bool was_empty;
  for (i : 1 .. POSTS) {
#if MUTANT == 2
    was_empty = (queued == 0);
    if
    :: was_empty -> event = true
    :: else
    fi;
    queued++
#else
    atomic { was_empty = (queued == 0); queued++ };
    if
    :: was_empty -> event = true
    :: else
    fi
#endif
  }
  num_done++
}

active proctype consumer() {
  byte taken;
end:
  do
  :: event ->
#if MUTANT == 1
     atomic { taken = queued; queued = 0 };
     event = false;
     num_run = num_run + taken
#else
     event = false;
     atomic { taken = queued; queued = 0 };
     num_run = num_run + taken
#endif
  od
}

/* Once nothing moves any more, every post has run. */
active proctype monitor() {
  (num_done == PRODUCERS && timeout);
  assert(queued == 0 && num_run == PRODUCERS * POSTS)
}

init {
  atomic { run producer(); run producer() }
}
