; Properties of a file, of an object and of a companion.
([
  (source_file (property_declaration (variable_declaration (identifier) @static.name (user_type (identifier) @type))) @static)
  (object_declaration (class_body (property_declaration (variable_declaration (identifier) @static.name (user_type (identifier) @type))) @static))
  (companion_object (class_body (property_declaration (variable_declaration (identifier) @static.name (user_type (identifier) @type))) @static))
] (#match? @type "^(Mutable|Concurrent|Hash|Linked|Array|Tree|Copy|Weak).*(Map|List|Set|Queue|Deque|Collection)"))
([
  (source_file (property_declaration (variable_declaration (identifier) @static.name) (call_expression (identifier) @new)) @static)
  (object_declaration (class_body (property_declaration (variable_declaration (identifier) @static.name) (call_expression (identifier) @new)) @static))
  (companion_object (class_body (property_declaration (variable_declaration (identifier) @static.name) (call_expression (identifier) @new)) @static))
] (#match? @new "^(mutable(Map|List|Set)Of|(hash|linked|sorted)(Map|Set)Of|arrayListOf|ArrayDeque|(Mutable|Concurrent|Hash|LinkedHash|Linked|Array|Tree|CopyOnWrite|Weak)[A-Za-z]*(Map|List|Set|Queue|Deque))$"))

(assignment left: (index_expression . [(identifier) @grows (navigation_expression (identifier) @grows .)]))
(assignment left: [(identifier) @grows (navigation_expression (identifier) @grows .)] operator: "+=")
(call_expression (navigation_expression [(identifier) @grows (navigation_expression (identifier) @grows .)] . (identifier) @add .)
  (#any-of? @add "put" "add" "addAll" "putAll" "putIfAbsent" "computeIfAbsent" "getOrPut" "compute" "merge" "offer" "push" "addFirst" "addLast"))

(call_expression (navigation_expression (identifier) @builder (identifier) @new)
  (#any-of? @builder "Caffeine" "CacheBuilder") (#eq? @new "newBuilder")) @cache
(call_expression (identifier) @new (#any-of? @new "ConcurrentMapCacheManager" "ConcurrentMapCache")) @cache
(call_expression (navigation_expression (identifier) @bound .)
  (#any-of? @bound "maximumSize" "maximumWeight" "expireAfterWrite" "expireAfterAccess" "expireAfter" "weakKeys" "weakValues" "softValues")) @cache.bound

(call_expression (identifier) @new (value_arguments) @none
  (#any-of? @new "LinkedBlockingQueue" "LinkedBlockingDeque" "ConcurrentLinkedQueue" "PriorityBlockingQueue") (#eq? @none "()")) @queue
(call_expression (identifier) @new (value_arguments (value_argument (navigation_expression (identifier) @unlimited .)))
  (#eq? @new "Channel") (#eq? @unlimited "UNLIMITED")) @queue

(call_expression (navigation_expression (identifier) @add .)
  (#any-of? @add "addListener" "addObserver" "subscribe" "addPropertyChangeListener" "addShutdownHook" "addEventListener" "registerListener")) @listener
(call_expression (navigation_expression (identifier) @end .)
  (#any-of? @end "removeListener" "removeObserver" "deleteObserver" "unsubscribe" "dispose" "removePropertyChangeListener" "removeEventListener" "unregisterListener")) @listener.bound.file

(call_expression (identifier) @new (#any-of? @new "Thread" "thread" "ThreadPoolExecutor" "Timer")) @task
(call_expression (navigation_expression (identifier) @scope (identifier) @new) (#eq? @scope "GlobalScope") (#any-of? @new "launch" "async")) @task
(call_expression (navigation_expression (identifier) @new .)
  (#any-of? @new "newCachedThreadPool" "newFixedThreadPool" "newScheduledThreadPool" "newSingleThreadExecutor")) @task
(call_expression (navigation_expression (identifier) @end .) (#any-of? @end "shutdown" "shutdownNow" "join" "cancel" "interrupt")) @task.bound.file

(call_expression (navigation_expression (identifier) @type (identifier) @new) (#eq? @type "ThreadLocal") (#eq? @new "withInitial")) @local
(call_expression (identifier) @type (#eq? @type "ThreadLocal")) @local
(call_expression (navigation_expression (identifier) @end .) (value_arguments) @none (#eq? @end "remove") (#eq? @none "()")) @local.bound.file

(call_expression (navigation_expression (identifier) @take .) (#any-of? @take "allocateDirect" "directBuffer" "allocateMemory")) @outside
(call_expression (navigation_expression (identifier) @end .) (#any-of? @end "release" "freeMemory")) @outside.bound.file

(call_expression (navigation_expression (identifier) @release .)
  (#any-of? @release "maximumSize" "maximumWeight" "expireAfterWrite" "expireAfterAccess" "expireAfter" "evict" "evictAll" "invalidate" "invalidateAll" "remove" "removeIf"
    "clear" "close" "release" "shutdown" "shutdownNow" "dispose" "unsubscribe" "cancel" "removeListener" "removeObserver" "deleteObserver" "removeEventListener"))
