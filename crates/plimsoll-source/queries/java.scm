(field_declaration (modifiers "static") type: (_) @type declarator: (variable_declarator name: (identifier) @static.name)
  (#match? @type "^(java\\.util\\.)?[A-Za-z.]*(Map|List|Set|Queue|Deque|Collection|Multimap|Table|Vector|Stack|Bag)(<|$)")) @static
; What cannot be changed cannot grow.
(field_declaration declarator: (variable_declarator name: (identifier) @fixed value: (method_invocation) @value)
  (#match? @value "^(List|Set|Map)\\.(of|copyOf|ofEntries)\\(|^Collections\\.(unmodifiable|empty|singleton)|^Immutable|^Arrays\\.asList|toUnmodifiable|\\.toList\\(\\)$"))

(method_invocation object: [(identifier) @grows (field_access field: (identifier) @grows)] name: (identifier) @add
  (#any-of? @add "put" "add" "addAll" "putAll" "putIfAbsent" "computeIfAbsent" "compute" "merge" "offer" "push" "addFirst" "addLast" "addElement"))

(method_invocation object: (identifier) @builder name: (identifier) @new
  (#any-of? @builder "Caffeine" "CacheBuilder") (#eq? @new "newBuilder")) @cache
(object_creation_expression type: (type_identifier) @type (#any-of? @type "ConcurrentMapCacheManager" "ConcurrentMapCache")) @cache
(method_invocation name: (identifier) @bound
  (#any-of? @bound "maximumSize" "maximumWeight" "expireAfterWrite" "expireAfterAccess" "expireAfter" "weakKeys" "weakValues" "softValues")) @cache.bound

(object_creation_expression type: [(type_identifier) @type (generic_type (type_identifier) @type)] arguments: (argument_list) @none
  (#any-of? @type "LinkedBlockingQueue" "LinkedBlockingDeque" "ConcurrentLinkedQueue" "LinkedTransferQueue" "PriorityBlockingQueue" "DelayQueue") (#eq? @none "()")) @queue

(method_invocation name: (identifier) @add
  (#any-of? @add "addListener" "addObserver" "subscribe" "addPropertyChangeListener" "addShutdownHook" "addEventListener" "registerListener")) @listener
(method_invocation name: (identifier) @end
  (#any-of? @end "removeListener" "removeObserver" "deleteObserver" "unsubscribe" "dispose" "removePropertyChangeListener" "removeEventListener" "unregisterListener")) @listener.bound.file

(object_creation_expression type: (type_identifier) @type (#any-of? @type "Thread" "ThreadPoolExecutor" "ScheduledThreadPoolExecutor" "Timer" "ForkJoinPool")) @task
(method_invocation name: (identifier) @new
  (#any-of? @new "newCachedThreadPool" "newFixedThreadPool" "newScheduledThreadPool" "newSingleThreadExecutor" "newWorkStealingPool" "newVirtualThreadPerTaskExecutor")) @task
(method_invocation name: (identifier) @end (#any-of? @end "shutdown" "shutdownNow" "interrupt")) @task.bound.file
(method_invocation name: (identifier) @end arguments: (argument_list) @none (#any-of? @end "join" "cancel") (#eq? @none "()")) @task.bound.file
(resource (_) @task.bound)

(field_declaration type: (_) @type (#match? @type "ThreadLocal")) @local
(method_invocation object: (_) name: (identifier) @end arguments: (argument_list) @none (#eq? @end "remove") (#eq? @none "()")) @local.bound.file

(method_invocation name: (identifier) @take (#any-of? @take "allocateDirect" "directBuffer" "allocateMemory")) @outside
(method_invocation name: (identifier) @end (#any-of? @end "release" "freeMemory" "invokeCleaner")) @outside.bound.file

(method_invocation name: (identifier) @release
  (#any-of? @release "maximumSize" "maximumWeight" "expireAfterWrite" "expireAfterAccess" "expireAfter" "evict" "evictAll" "invalidate" "invalidateAll" "remove" "removeIf"
    "clear" "close" "release" "shutdown" "shutdownNow" "dispose" "unsubscribe" "cancel" "removeListener" "removeObserver" "deleteObserver" "removeEventListener"))
