/* A PKCS#11 module that passes every call on to another one, but for the faults that a file names.

   Both stand beside this library, wherever that is: `real` is a link to the module that does the work, `faults` is read
   at every call. So each node of a network has a copy of its own, and its environment says nothing of it. One fault a
   line:

     C_Sign 6            the function answers that code (hexadecimal) and does nothing
     C_Sign 6 2          the same, twice; again twice when the file has changed
     logged-out          the token has lost its login until C_Login: it shows public objects alone, without an error
     blind               searches find nothing, without an error
     stuck               C_Sign fails once and does not end its operation: C_SignInit is refused until C_CloseSession
     no-slots            no slot has a token in it
     no-eddsa            CKM_EDDSA is not offered
     max-label 40        no key with a longer label is made
     max-message 2047    nothing longer is signed
     max-sessions 2      no more are opened
     can't-lock          C_Initialize refuses to bear several threads
     together 4          C_Sign waits until it has been called by so many at once, for half a minute; then it fails
     slow 8000           C_Sign takes so many microseconds longer

   What it saw, faulty_seen() tells: how many were in C_Sign at once, how often keys, sessions or the login were changed
   while another call was under way, and how many sessions are open.

   Where there is a file `parameters` beside it, the other module is initialised with that string, as NSS's wants it.

   Written from the standard alone (PKCS#11 v2.40): the types and the order of the functions are its appendix A. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef unsigned long ulong_t;
typedef ulong_t rv_t;
typedef unsigned char byte_t;
typedef struct { ulong_t type; void *value; ulong_t length; } attribute_t;

enum {
  INITIALIZE = 0, FINALIZE = 1, GET_FUNCTION_LIST = 3, GET_SLOT_LIST = 4, GET_TOKEN_INFO = 6, GET_MECHANISM_LIST = 7,
  OPEN_SESSION = 12, CLOSE_SESSION = 13, LOGIN = 18, LOGOUT = 19, DESTROY_OBJECT = 22, GET_ATTRIBUTE_VALUE = 24,
  FIND_OBJECTS_INIT = 26, FIND_OBJECTS = 27, SIGN_INIT = 42, SIGN = 43, GENERATE_KEY = 58, GENERATE_KEY_PAIR = 59,
  FUNCTIONS = 68
};
enum {
  OK = 0, GENERAL_ERROR = 5, FUNCTION_FAILED = 6, CANT_LOCK = 0x0A, ATTRIBUTE_VALUE_INVALID = 0x13, DATA_LEN_RANGE = 0x21,
  OPERATION_ACTIVE = 0x90, SESSION_COUNT = 0xB1, USER_NOT_LOGGED_IN = 0x101
};
enum { CLASS = 0, LABEL = 3, PUBLIC_KEY = 2, EDDSA = 0x1057 };

typedef struct { byte_t version[2]; void *functions[FUNCTIONS]; } list_t;

static list_t *real, ours;
static char directory[PATH_MAX], faults[4096];
static int is_stuck, was_stuck, is_logged_in_again;
static struct { const char *name; int answered; } counts[FUNCTIONS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER, watch = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t arrived = PTHREAD_COND_INITIALIZER;
static int uses, changes, signing, met;
static int seen[3];
enum { AT_ONCE, OVERLAPS, OPEN };

/* Which calls are under way: those that use something, and those that have to be alone. */
static void enter(int is_change) {
  pthread_mutex_lock(&watch);
  if (changes || (is_change && uses)) seen[OVERLAPS]++;
  if (is_change) changes++; else uses++;
  pthread_mutex_unlock(&watch);
}

static rv_t leave(int is_change, rv_t code) {
  pthread_mutex_lock(&watch);
  if (is_change) changes--; else uses--;
  pthread_mutex_unlock(&watch);
  return code;
}

/* 0: the most that were in C_Sign at once, 1: changes beside something else, 2: sessions open; -1 forgets the first two. */
int faulty_seen(int which) {
  pthread_mutex_lock(&watch);
  int answer = which < 0 ? 0 : seen[which];
  if (which < 0) seen[AT_ONCE] = seen[OVERLAPS] = met = 0;
  pthread_mutex_unlock(&watch);
  return answer;
}

/* Counts this thread among those that sign. 0 where `together` did not come together. */
static int begin_signing(ulong_t together, ulong_t slow) {
  struct timespec until;
  int late = 0;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += 30;
  pthread_mutex_lock(&watch);
  if (++signing > seen[AT_ONCE]) seen[AT_ONCE] = signing;
  if ((ulong_t)signing >= together) met = 1;
  pthread_cond_broadcast(&arrived);
  while (together && !met && !late) late = pthread_cond_timedwait(&arrived, &watch, &until);
  pthread_mutex_unlock(&watch);
  if (slow) usleep((unsigned)slow);
  return !late;
}

static void end_signing(void) {
  pthread_mutex_lock(&watch);
  signing--;
  pthread_mutex_unlock(&watch);
}

#define REAL(number, ...) ((rv_t (*)(__VA_ARGS__))real->functions[number])

static void read_faults(void) {
  char path[PATH_MAX + 16], now[sizeof faults];
  ssize_t length = 0;
  snprintf(path, sizeof path, "%s/faults", directory);
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file >= 0) {
    length = read(file, now, sizeof now - 1);
    close(file);
  }
  now[length > 0 ? length : 0] = 0;
  if (strcmp(now, faults)) {
    strcpy(faults, now);
    memset(counts, 0, sizeof counts);
    was_stuck = is_logged_in_again = 0;
  }
}

/* The rest of the line that begins with `name`, or NULL where there is none. */
static const char *fault(const char *name) {
  size_t length = strlen(name);
  read_faults();
  for (const char *line = faults; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
    if (!strncmp(line, name, length) && strchr(" \n", line[length]))
      return line + length;
  return NULL;
}

static rv_t code_for(const char *name) {
  rv_t code = OK;
  pthread_mutex_lock(&lock);
  const char *rest = fault(name);
  if (rest && *rest == ' ') {
    char *end;
    code = strtoul(rest, &end, 16);
    if (*end == ' ') {
      long times = strtol(end, NULL, 10);
      int place = 0;
      while (counts[place].name && strcmp(counts[place].name, name)) place++;
      counts[place].name = name;
      if (counts[place].answered++ >= times) code = OK;
    }
  }
  pthread_mutex_unlock(&lock);
  return code;
}

static int has(const char *name) {
  pthread_mutex_lock(&lock);
  int found = fault(name) != NULL;
  pthread_mutex_unlock(&lock);
  return found;
}

static ulong_t at_most(const char *name) {
  pthread_mutex_lock(&lock);
  const char *rest = fault(name);
  ulong_t most = rest ? strtoul(rest, NULL, 10) : ULONG_MAX;
  pthread_mutex_unlock(&lock);
  return most;
}

/* The number behind `name`; 0 where it is not there. */
static ulong_t number(const char *name) {
  ulong_t found = at_most(name);
  return found == ULONG_MAX ? 0 : found;
}

static int is_logged_out(void) { return has("logged-out") && !is_logged_in_again; }

#define ANSWER(name) do { rv_t code_ = code_for(name); if (code_) return code_; } while (0)

/* CK_C_INITIALIZE_ARGS as NSS has it, with its parameters before the reserved pointer. */
static struct { void *mutexes[4]; ulong_t flags; char *parameters; void *reserved; } given;

static rv_t initialize(void *arguments) {
  static char parameters[PATH_MAX + 256];
  char path[PATH_MAX + 16];
  ANSWER("C_Initialize");
  ulong_t flags = arguments ? *(ulong_t *)((void **)arguments + 4) : 0;
  if ((flags & 2) && has("can't-lock")) return CANT_LOCK;
  snprintf(path, sizeof path, "%s/parameters", directory);
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file >= 0) {
    ssize_t length = read(file, parameters, sizeof parameters - 1);
    close(file);
    parameters[length > 0 ? length : 0] = 0;
    given.flags = 2; /* CKF_OS_LOCKING_OK */
    given.parameters = parameters;
    arguments = &given;
  }
  return REAL(INITIALIZE, void *)(arguments);
}

static rv_t finalize(void *reserved) {
  ANSWER("C_Finalize");
  is_stuck = seen[OPEN] = 0;
  return REAL(FINALIZE, void *)(reserved);
}

static rv_t get_slot_list(byte_t present, ulong_t *slots, ulong_t *count) {
  ANSWER("C_GetSlotList");
  rv_t code = REAL(GET_SLOT_LIST, byte_t, ulong_t *, ulong_t *)(present, slots, count);
  if (!code && has("no-slots")) *count = 0;
  return code;
}

static rv_t get_token_info(ulong_t slot, void *info) {
  ANSWER("C_GetTokenInfo");
  return REAL(GET_TOKEN_INFO, ulong_t, void *)(slot, info);
}

static rv_t get_mechanism_list(ulong_t slot, ulong_t *list, ulong_t *count) {
  ANSWER("C_GetMechanismList");
  rv_t code = REAL(GET_MECHANISM_LIST, ulong_t, ulong_t *, ulong_t *)(slot, list, count);
  if (!code && list && has("no-eddsa")) {
    ulong_t kept = 0;
    for (ulong_t i = 0; i < *count; i++)
      if (list[i] != EDDSA) list[kept++] = list[i];
    *count = kept;
  }
  return code;
}

static rv_t open_session(ulong_t slot, ulong_t flags, void *application, void *notify, ulong_t *session) {
  ANSWER("C_OpenSession");
  if ((ulong_t)faulty_seen(OPEN) >= at_most("max-sessions")) return SESSION_COUNT;
  rv_t code = REAL(OPEN_SESSION, ulong_t, ulong_t, void *, void *, ulong_t *)(slot, flags, application, notify, session);
  pthread_mutex_lock(&watch);
  if (!code) seen[OPEN]++;
  pthread_mutex_unlock(&watch);
  return code;
}

static rv_t close_session(ulong_t session) {
  ANSWER("C_CloseSession");
  is_stuck = 0;
  enter(1);
  rv_t code = leave(1, REAL(CLOSE_SESSION, ulong_t)(session));
  pthread_mutex_lock(&watch);
  if (!code) seen[OPEN]--;
  pthread_mutex_unlock(&watch);
  return code;
}

static rv_t login(ulong_t session, ulong_t user, byte_t *pin, ulong_t length) {
  ANSWER("C_Login");
  if (is_logged_out()) is_logged_in_again = 1;
  enter(1);
  return leave(1, REAL(LOGIN, ulong_t, ulong_t, byte_t *, ulong_t)(session, user, pin, length));
}

static rv_t logout(ulong_t session) {
  ANSWER("C_Logout");
  int was_out = is_logged_out();
  enter(1);
  rv_t code = leave(1, REAL(LOGOUT, ulong_t)(session));
  return was_out ? USER_NOT_LOGGED_IN : code;
}

static rv_t destroy_object(ulong_t session, ulong_t object) {
  ANSWER("C_DestroyObject");
  if (is_logged_out()) return USER_NOT_LOGGED_IN;
  enter(1);
  return leave(1, REAL(DESTROY_OBJECT, ulong_t, ulong_t)(session, object));
}

static rv_t get_attribute_value(ulong_t session, ulong_t object, void *template, ulong_t count) {
  ANSWER("C_GetAttributeValue");
  return REAL(GET_ATTRIBUTE_VALUE, ulong_t, ulong_t, void *, ulong_t)(session, object, template, count);
}

static rv_t find_objects_init(ulong_t session, void *template, ulong_t count) {
  ANSWER("C_FindObjectsInit");
  enter(0);
  return leave(0, REAL(FIND_OBJECTS_INIT, ulong_t, void *, ulong_t)(session, template, count));
}

static int is_public(ulong_t session, ulong_t object) {
  ulong_t class = 0;
  attribute_t wanted = {CLASS, &class, sizeof class};
  return !REAL(GET_ATTRIBUTE_VALUE, ulong_t, ulong_t, void *, ulong_t)(session, object, &wanted, 1) &&
         class == PUBLIC_KEY;
}

static rv_t find_objects(ulong_t session, ulong_t *objects, ulong_t most, ulong_t *count) {
  ANSWER("C_FindObjects");
  int logged_out = is_logged_out(), blind = has("blind");
  for (;;) {
    rv_t code = REAL(FIND_OBJECTS, ulong_t, ulong_t *, ulong_t, ulong_t *)(session, objects, most, count);
    ulong_t shown = 0;
    if (code || !*count || !(logged_out || blind)) return code;
    for (ulong_t i = 0; i < *count; i++)
      if (!blind && is_public(session, objects[i])) objects[shown++] = objects[i];
    if (shown) {
      *count = shown;
      return OK;
    }
  }
}

static rv_t sign_init(ulong_t session, void *mechanism, ulong_t key) {
  ANSWER("C_SignInit");
  if (is_logged_out()) return USER_NOT_LOGGED_IN;
  if (is_stuck) return OPERATION_ACTIVE;
  return REAL(SIGN_INIT, ulong_t, void *, ulong_t)(session, mechanism, key);
}

/* Fails with `code`; the real module's operation is ended, so that only what this library says of it counts. */
static rv_t sign_badly(ulong_t session, rv_t code) {
  byte_t message[1] = {0}, output[256];
  ulong_t length = sizeof output;
  REAL(SIGN, ulong_t, byte_t *, ulong_t, byte_t *, ulong_t *)(session, message, 1, output, &length);
  return code;
}

static rv_t sign(ulong_t session, byte_t *data, ulong_t length, byte_t *output, ulong_t *room) {
  rv_t code = code_for("C_Sign");
  if (code) return sign_badly(session, code);
  if (has("stuck") && !was_stuck) {
    is_stuck = was_stuck = 1;
    return sign_badly(session, FUNCTION_FAILED);
  }
  if (length > at_most("max-message")) return sign_badly(session, DATA_LEN_RANGE);
  if (!output) return REAL(SIGN, ulong_t, byte_t *, ulong_t, byte_t *, ulong_t *)(session, data, length, output, room);
  enter(0);
  int is_together = begin_signing(number("together"), number("slow"));
  code = REAL(SIGN, ulong_t, byte_t *, ulong_t, byte_t *, ulong_t *)(session, data, length, output, room);
  end_signing();
  return leave(0, is_together ? code : GENERAL_ERROR);
}

static int is_too_long(const attribute_t *template, ulong_t count) {
  for (ulong_t i = 0; i < count; i++)
    if (template[i].type == LABEL && template[i].length > at_most("max-label")) return 1;
  return 0;
}

static rv_t generate_key(ulong_t session, void *mechanism, attribute_t *template, ulong_t count, ulong_t *key) {
  ANSWER("C_GenerateKey");
  if (is_logged_out()) return USER_NOT_LOGGED_IN;
  if (is_too_long(template, count)) return ATTRIBUTE_VALUE_INVALID;
  enter(1);
  return leave(1, REAL(GENERATE_KEY, ulong_t, void *, void *, ulong_t, ulong_t *)(session, mechanism, template, count, key));
}

static rv_t generate_key_pair(ulong_t session, void *mechanism, attribute_t *public, ulong_t publics,
                              attribute_t *private, ulong_t privates, ulong_t *public_key, ulong_t *private_key) {
  ANSWER("C_GenerateKeyPair");
  if (is_logged_out()) return USER_NOT_LOGGED_IN;
  if (is_too_long(public, publics) || is_too_long(private, privates)) return ATTRIBUTE_VALUE_INVALID;
  enter(1);
  return leave(1, REAL(GENERATE_KEY_PAIR, ulong_t, void *, void *, ulong_t, void *, ulong_t, ulong_t *, ulong_t *)(
      session, mechanism, public, publics, private, privates, public_key, private_key));
}

static rv_t get_function_list(list_t **list) {
  *list = &ours;
  return OK;
}

static int load(void) {
  Dl_info here;
  char path[PATH_MAX + 16];
  rv_t (*get)(list_t **);
  if (!dladdr((void *)load, &here)) return 0;
  snprintf(directory, sizeof directory, "%s", here.dli_fname);
  char *slash = strrchr(directory, '/');
  if (!slash) return 0;
  *slash = 0;
  snprintf(path, sizeof path, "%s/real", directory);
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library || !(get = (rv_t (*)(list_t **))dlsym(library, "C_GetFunctionList")) || get(&real)) {
    fprintf(stderr, "%s does not load: %s\n", path, dlerror());
    real = NULL;
    return 0;
  }
  static const struct { int number; void *function; } changed[] = {
    {INITIALIZE, initialize}, {FINALIZE, finalize}, {GET_FUNCTION_LIST, get_function_list},
    {GET_SLOT_LIST, get_slot_list}, {GET_TOKEN_INFO, get_token_info}, {GET_MECHANISM_LIST, get_mechanism_list},
    {OPEN_SESSION, open_session}, {CLOSE_SESSION, close_session}, {LOGIN, login}, {LOGOUT, logout},
    {DESTROY_OBJECT, destroy_object}, {GET_ATTRIBUTE_VALUE, get_attribute_value},
    {FIND_OBJECTS_INIT, find_objects_init}, {FIND_OBJECTS, find_objects}, {SIGN_INIT, sign_init}, {SIGN, sign},
    {GENERATE_KEY, generate_key}, {GENERATE_KEY_PAIR, generate_key_pair},
  };
  ours = *real;
  for (size_t i = 0; i < sizeof changed / sizeof *changed; i++) ours.functions[changed[i].number] = changed[i].function;
  return 1;
}

rv_t C_GetFunctionList(list_t **list) {
  pthread_mutex_lock(&lock);
  int loaded = real || load();
  pthread_mutex_unlock(&lock);
  *list = &ours;
  return loaded ? OK : GENERAL_ERROR;
}
