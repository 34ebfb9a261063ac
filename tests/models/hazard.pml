/* Can a reader touch a version that main has given away?
 *
 * Model of base/hazard.h on a machine with store buffers (x86-TSO): a plain store enters the thread's
 * buffer and reaches memory some time later, in order; a sequentially consistent store waits until its
 * buffer is empty. Each step below is one access to shared memory.
 *
 * A version is an address and a generation: addresses of reclaimed versions are used again, so the
 * reader may see the same pointer twice with different things behind it (ABA).
 *
 * MUTANT=1: the reader's slot store is not ordered before its second load of the root.
 * MUTANT=2: main's root store is not ordered before its scan.
 * MUTANT=3: the reader does not load the root a second time.
 * MUTANT=4: the slot is cleared before the last use of the version.
 * Each must violate an assertion; without MUTANT there must be no error.
 */
#ifndef MUTANT
#define MUTANT 0
#endif

#ifndef READERS
#define READERS 1
#endif
#define SLOTS 2      /* of each reader: the current version and one that is pinned */
#define ADDRESSES 4  /* 1 .. ADDRESSES - 1; 0 is null */
#ifndef PUBLISHES
#define PUBLISHES 4  /* so that an address is used again */
#endif

/* Memory: the root, then the slots. */
#define ROOT 0
#define SLOT(reader, i) (1 + (reader) * SLOTS + (i))
byte memory[1 + READERS * SLOTS];

/* The buffers: readers, then main. */
#define MAIN READERS
chan buffer[READERS + 1] = [2] of { byte, byte };

bool alive[ADDRESSES];
byte generation[ADDRESSES];
bool retired[ADDRESSES];
byte num_left;  /* readers that have left */

#define STORE(thread, address, value) buffer[thread]!address, value
#define FENCE(thread) (empty(buffer[thread]))

/* Moves one thread's stores to memory. */
proctype drain_buffer(byte thread) {
  byte address, value;
end:
  do
  :: atomic { buffer[thread]?address, value -> memory[address] = value; address = 0; value = 0 }
  od
}

#define USE(version, gen) assert(alive[version] && generation[version] == gen)

proctype reader(byte me) {
  byte held[SLOTS];    /* what each slot protects: 0 for nothing */
  byte gen[SLOTS];
  byte current = 0;    /* slot of the current version; the other one is free or pinned */
  byte root, again, other;

  do
  /* adopt() */
  :: held[1 - current] == 0 ->
     other = 1 - current;
     root = memory[ROOT];
     if
     :: root == held[current] -> skip
     :: else ->
        do
        :: STORE(me, SLOT(me, other), root);
#if MUTANT != 1
           FENCE(me);
#endif
#if MUTANT == 3
           break
#else
           again = memory[ROOT];
           if
           :: again == root -> break
           :: else -> root = again
           fi
#endif
        od;
        /* Protected: the first use. */
        assert(alive[root]);
        d_step { held[other] = root; gen[other] = generation[root]; current = other };
     fi;
     root = 0; again = 0; other = 0

  /* An exchange reads the current version or the pinned one. */
  :: held[current] != 0 -> USE(held[current], gen[current])
  :: held[1 - current] != 0 -> USE(held[1 - current], gen[1 - current])

  /* Last unpin of the superseded version. */
  :: held[1 - current] != 0 ->
#if MUTANT == 4
     STORE(me, SLOT(me, 1 - current), 0);
     USE(held[1 - current], gen[1 - current]);
#else
     USE(held[1 - current], gen[1 - current]);
     STORE(me, SLOT(me, 1 - current), 0);
#endif
     d_step { held[1 - current] = 0; gen[1 - current] = 0 }

  /* leave() */
  :: held[1 - current] == 0 && held[current] != 0 ->
     STORE(me, SLOT(me, current), 0);
     FENCE(me);  /* main sees `left` only after the stores before it */
     num_left++;
     break
  od
}

byte version, r, i, num_published;
bool is_protected;

/* Frees every retired version that no slot holds. */
inline scan() {
  version = 1;
  do
  :: version < ADDRESSES ->
     if
     :: retired[version] ->
        is_protected = false;
        r = 0;
        do
        :: r < READERS * SLOTS ->
           d_step { is_protected = is_protected || memory[1 + r] == version; r++ }
        :: else -> break
        od;
        if
        :: is_protected -> skip
        :: else -> d_step { alive[version] = false; retired[version] = false }
        fi
     :: else -> skip
     fi;
     version++
  :: else -> break
  od;
  version = 0; r = 0; is_protected = false
}

/* A new version at some free address; its predecessor is retired. */
inline publish() {
  if
  :: !alive[1] -> version = 1
  :: alive[1] && !alive[2] -> version = 2
  :: alive[1] && alive[2] && !alive[3] -> version = 3
  fi;
  d_step { alive[version] = true; generation[version]++ };
  STORE(MAIN, ROOT, version);
#if MUTANT != 2
  FENCE(MAIN);
#endif
  retired[i] = true;
  i = version;
  version = 0
}

init {
  /* The first version is there before the readers start. */
  d_step { alive[1] = true; generation[1] = 1; memory[ROOT] = 1; i = 1 };
  atomic {
    run drain_buffer(MAIN);
    for (r : 0 .. READERS - 1) { run drain_buffer(r); run reader(r) }
    r = 0
  };
  do
  :: num_published < PUBLISHES && (!alive[1] || !alive[2] || !alive[3]) ->
     publish();
     num_published++;
     scan()
  :: scan()
  :: num_left == READERS -> break
  od;
  /* Nobody protects anything: all that is retired must become free. */
  scan();
  assert(!retired[1] && !retired[2] && !retired[3])
}
