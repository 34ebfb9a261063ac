// redact() takes out of a message what may not be shown: private keys, passwords, tickets' keys,
// secrets. What these are the protos say (udpa.annotations.sensitive); all that is below such a
// field goes, as in Envoy: texts and bytes become "[redacted]", numbers go, types stay. Messages in
// an Any whose type is known are looked into. For /config_dump; cost: a walk over what is set.
#pragma once

namespace google::protobuf {
class Message;
}

namespace sluice::xds {

void redact(google::protobuf::Message* message);

}  // namespace sluice::xds
