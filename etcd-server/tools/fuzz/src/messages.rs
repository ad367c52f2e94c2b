//! Protobuf messages of any type with anything in their fields.

use crate::Dice;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use std::sync::LazyLock;

/// Messages within messages.
const DEPTH_MAX: usize = 6;

pub(crate) static DESCRIPTORS: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(proto::DESCRIPTORS).expect("the descriptors compiled into `proto` decode"));

/// A message of this type: each field is there or not, and holds something odd.
pub(crate) fn random(descriptor: &MessageDescriptor, dice: &mut Dice) -> DynamicMessage {
    filled(descriptor, dice, 0)
}

fn filled(descriptor: &MessageDescriptor, dice: &mut Dice, depth: usize) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    let fields: Vec<FieldDescriptor> = descriptor.fields().collect();
    // Of a message with many fields, such as a raft request, few are set at a time.
    let share = u8::try_from(fields.len() / 3 + 2).unwrap_or(u8::MAX);
    for field in fields {
        let is_message = matches!(field.kind(), Kind::Message(_));
        if field.is_map() || !dice.once_in(if is_message { share } else { 2 }) || is_message && depth >= DEPTH_MAX {
            continue;
        }
        let value = if field.is_list() {
            let count = dice.below(4);
            Value::List((0..count).map(|_| value(&field, dice, depth)).collect())
        } else {
            value(&field, dice, depth)
        };
        message.set_field(&field, value);
    }
    message
}

fn value(field: &FieldDescriptor, dice: &mut Dice, depth: usize) -> Value {
    let number = dice.number();
    #[expect(clippy::cast_possible_truncation, reason = "what is cut off leaves another odd number")]
    let small = number as u32;
    match field.kind() {
        Kind::Bool => Value::Bool(number.is_multiple_of(2)),
        Kind::String => Value::String(dice.text()),
        Kind::Bytes => Value::Bytes(dice.bytes().into()),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(small.cast_signed()),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(small),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(number.cast_signed()),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(number),
        Kind::Float => Value::F32(f32::NAN),
        Kind::Double => Value::F64(f64::NAN),
        Kind::Enum(kind) => {
            let known = kind.values().nth(dice.below(kind.values().len().max(1)));
            let odd = dice.once_in(10);
            Value::EnumNumber(known.filter(|_| !odd).map_or(small.cast_signed(), |value| value.number()))
        }
        Kind::Message(inner) => Value::Message(filled(&inner, dice, depth + 1)),
    }
}
